"""How long finished jobs are kept: a table of its own, so that nothing is locked for long."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op as _op

from oqron_sql.dialects import index_options, table_options
from oqron_sql.schema.steps import Steps, located
from oqron_sql.schema.types import Key, Serial, Timestamp

revision = "oqron0003"
down_revision = "oqron0002"
branch_labels = None
depends_on = None


def upgrade(op: Any = _op, prefix: str | None = None, schema: str | None = None) -> None:
    prefix, schema = located(op, prefix, schema)
    steps = Steps(op, prefix, schema)
    name = f"{prefix}retention"
    steps.create_table(
        name,
        sa.Column("id", Serial, primary_key=True, autoincrement=True),
        sa.Column("queue_name", Key, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("most", sa.Integer),
        sa.Column("expires_at", Timestamp),
        sa.Column("job_seq", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.BigInteger, nullable=False),
        **table_options(),
    )
    for index, columns, where in (
        ("due", ["queue_name", "expires_at"], "expires_at IS NOT NULL"),
        ("line", ["queue_name", "state", "most", "id"], "most IS NOT NULL"),
    ):
        partial = index_options(sa.text(where))
        steps.create_index(f"{name}_{index}", name, columns, unique=False, **partial)
    steps.record(down_revision, revision)


def downgrade(op: Any = _op, prefix: str | None = None, schema: str | None = None) -> None:
    prefix, schema = located(op, prefix, schema)
    steps = Steps(op, prefix, schema)
    steps.drop_table(f"{prefix}retention")
    steps.record(revision, down_revision)
