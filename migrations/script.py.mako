"""${message}."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op as _op

from oqron_sql.schema.steps import Steps
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade(op: Any = _op, prefix: str = "oqron_", schema: str | None = None) -> None:
    ${upgrades if upgrades else "steps = Steps(op, schema)"}


def downgrade(op: Any = _op, prefix: str = "oqron_", schema: str | None = None) -> None:
    ${downgrades if downgrades else "steps = Steps(op, schema)"}
