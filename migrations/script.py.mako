"""${message}."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op as _op

from oqron_sql.schema.steps import Steps, located
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade(op: Any = _op, prefix: str | None = None, schema: str | None = None) -> None:
    prefix, schema = located(op, prefix, schema)
    steps = Steps(op, prefix, schema)
    ${upgrades if upgrades else "..."}
    steps.record(down_revision, revision)


def downgrade(op: Any = _op, prefix: str | None = None, schema: str | None = None) -> None:
    prefix, schema = located(op, prefix, schema)
    steps = Steps(op, prefix, schema)
    ${downgrades if downgrades else "..."}
    steps.record(revision, down_revision)
