"""The tables of the adapters."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op as _op

from oqron_sql.dialects import index_options, table_options
from oqron_sql.schema.steps import Steps, located
from oqron_sql.schema.types import Key, LongText, Serial, ShortKey, Timestamp

revision = "oqron0002"
down_revision = "oqron0001"
branch_labels = None
depends_on = None

TABLES = ("documents", "fields", "messages", "stopped", "broadcasts", "locks")


def upgrade(op: Any = _op, prefix: str | None = None, schema: str | None = None) -> None:
    prefix, schema = located(op, prefix, schema)
    steps = Steps(op, prefix, schema)

    def table(name: str, *columns: sa.Column[Any]) -> None:
        steps.create_table(prefix + name, *columns, **table_options())

    def index(
        table: str, name: str, *columns: str, where: str | None = None, unique: bool = False
    ) -> None:
        partial = index_options(sa.text(where)) if where else {}
        full_name = f"{prefix}{table}_{name}"
        steps.create_index(full_name, prefix + table, list(columns), unique=unique, **partial)

    table(
        "documents",
        sa.Column("seq", Serial, primary_key=True, autoincrement=True),
        sa.Column("namespace", Key, nullable=False),
        sa.Column("id", Key, nullable=False),
        sa.Column("record_time", Timestamp, nullable=False),
        sa.Column("saved_at", Timestamp, nullable=False),
        sa.Column("indexed", sa.String(16)),
        sa.Column("data", LongText, nullable=False),
    )
    index("documents", "id", "namespace", "id", unique=True)
    index("documents", "age", "namespace", "record_time", "seq")
    index("documents", "indexed", "namespace", "indexed", where="indexed IS NOT NULL")

    table(
        "fields",
        sa.Column("document", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("field", ShortKey, primary_key=True),
        sa.Column("namespace", Key, nullable=False),
        sa.Column("number", sa.Double),
        sa.Column("text", ShortKey),
        sa.Column("record_time", Timestamp, nullable=False),
    )
    for column in ("number", "text"):
        columns = ("namespace", "field", column, "record_time", "document")
        index("fields", column, *columns, where=f"{column} IS NOT NULL")

    table(
        "messages",
        sa.Column("seq", Serial, primary_key=True, autoincrement=True),
        sa.Column("broker", Key, nullable=False),
        sa.Column("id", Key, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False, server_default="1"),
        sa.Column("place", Timestamp, nullable=False),
        sa.Column("due", Timestamp),
        sa.Column("consumer", Key),
        sa.Column("token", sa.String(36)),
        sa.Column("deliveries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("again_delay", sa.BigInteger),
        sa.Column("again_priority", sa.Integer),
    )
    waiting = "state = 'waiting'"
    index("messages", "id", "id", "broker", unique=True)
    index("messages", "place", "broker", "state", "turn", "place", "seq", where=waiting)
    order = ("priority", "turn", "place", "seq")
    index("messages", "priority", "broker", "state", *order, where=waiting)
    index("messages", "due", "broker", "due", where="due IS NOT NULL")

    table("stopped", sa.Column("broker", Key, primary_key=True))
    table(
        "broadcasts",
        sa.Column("id", Serial, primary_key=True, autoincrement=True),
        sa.Column("channel", Key, nullable=False),
        sa.Column("sent_at", Timestamp, nullable=False),
        sa.Column("body", LongText, nullable=False),
    )
    table(
        "locks",
        sa.Column("name", Key, primary_key=True),
        sa.Column("owner", Key, nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
    )
    index("locks", "expires", "expires_at")
    steps.record(down_revision, revision)


def downgrade(op: Any = _op, prefix: str | None = None, schema: str | None = None) -> None:
    prefix, schema = located(op, prefix, schema)
    steps = Steps(op, prefix, schema)
    for name in reversed(TABLES):
        steps.drop_table(prefix + name)
    steps.record(revision, down_revision)
