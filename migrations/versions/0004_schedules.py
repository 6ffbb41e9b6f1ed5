"""Series of jobs: a row for each, which moves on in the transaction that saves a slot's job."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op as _op

from oqron_sql.dialects import index_options, table_options
from oqron_sql.schema.steps import Steps, located
from oqron_sql.schema.types import Key, LongText, Timestamp

revision = "oqron0004"
down_revision = "oqron0003"
branch_labels = None
depends_on = None


def upgrade(op: Any = _op, prefix: str | None = None, schema: str | None = None) -> None:
    prefix, schema = located(op, prefix, schema)
    steps = Steps(op, prefix, schema)
    name = f"{prefix}schedules"
    steps.create_table(
        name,
        sa.Column("queue_name", Key, primary_key=True),
        sa.Column("schedule_key", Key, primary_key=True),
        sa.Column("job_name", Key, nullable=False),
        sa.Column("cron", Key),
        sa.Column("every_us", sa.BigInteger),
        sa.Column("tz", Key),
        sa.Column("start_at", Timestamp),
        sa.Column("end_at", Timestamp),
        sa.Column("most", sa.BigInteger),
        sa.Column("catchup", sa.String(8), nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.text("'0'")),
        sa.Column("fired", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("anchor", Timestamp, nullable=False),
        sa.Column("last_slot", Timestamp),
        sa.Column("next_slot", Timestamp),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("opts", LongText),
        sa.Column("data", LongText, nullable=False),
        **table_options(),
    )
    due = index_options(sa.text("next_slot IS NOT NULL"))
    steps.create_index(f"{name}_due", name, ["queue_name", "next_slot"], unique=False, **due)
    steps.record(down_revision, revision)


def downgrade(op: Any = _op, prefix: str | None = None, schema: str | None = None) -> None:
    prefix, schema = located(op, prefix, schema)
    steps = Steps(op, prefix, schema)
    steps.drop_table(f"{prefix}schedules")
    steps.record(revision, down_revision)
