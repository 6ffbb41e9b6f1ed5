"""The tables of version 0.1."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op as _op

from oqron_sql.dialects import index_options, table_options
from oqron_sql.schema.steps import Steps, located
from oqron_sql.schema.types import Key, LongText, Serial, Timestamp

revision = "oqron0001"
down_revision = None
branch_labels = ("oqron",)
depends_on = None

TABLES = ("jobs", "history", "queues", "pauses", "groups", "takes", "tallies", "metrics")
NO = sa.text("'0'")


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
        "jobs",
        sa.Column("seq", Serial, primary_key=True, autoincrement=True),
        sa.Column("queue_name", Key, nullable=False),
        sa.Column("id", Key, nullable=False),
        sa.Column("name", Key, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.Column("lease", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("lost_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("attempts_made", sa.Integer, nullable=False, server_default="0"),
        sa.Column("progress", sa.Double, nullable=False, server_default="0"),
        sa.Column("pending_children_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("entries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("discarded", sa.Boolean, nullable=False, server_default=NO),
        sa.Column("repeats", sa.Boolean, nullable=False, server_default=NO),
        sa.Column("parent_notified", sa.Boolean, nullable=False, server_default=NO),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("processed_at", Timestamp),
        sa.Column("completed_at", Timestamp),
        sa.Column("failed_at", Timestamp),
        sa.Column("cancelled_at", Timestamp),
        sa.Column("delay_until", Timestamp),
        sa.Column("lock_until", Timestamp),
        sa.Column("locked_by", Key),
        sa.Column("group_id", Key),
        sa.Column("deduplication_key", Key),
        sa.Column("dedup_slot", Key),
        sa.Column("dedup_until", Timestamp),
        sa.Column("parent_queue_name", Key),
        sa.Column("parent_id", Key),
        sa.Column("opts", LongText),
        sa.Column("data", LongText, nullable=False),
        sa.Column("returnvalue", LongText),
        sa.Column("failed_reason", LongText),
        sa.Column("children_ids", LongText),
    )
    index("jobs", "id", "id", "queue_name", unique=True)
    index("jobs", "slot", "queue_name", "dedup_slot", unique=True, where="dedup_slot IS NOT NULL")
    waiting, active = "state = 'waiting'", "state = 'active'"
    index("jobs", "fetch", "queue_name", "state", "priority", "seq", where=waiting)
    index("jobs", "group", "queue_name", "group_id", "state", "priority", "seq", where=waiting)
    index("jobs", "busy", "queue_name", "group_id", where=f"{active} AND group_id IS NOT NULL")
    index("jobs", "lock", "queue_name", "lock_until", where=active)
    index("jobs", "delay", "queue_name", "delay_until", where="state = 'delayed'")
    live = "state IN ('waiting', 'delayed', 'waiting-children')"
    index("jobs", "live", "queue_name", "state", "created_at", "seq", where=live)
    index("jobs", "completed", "queue_name", "completed_at", "seq", where="state = 'completed'")
    index("jobs", "failed", "queue_name", "failed_at", "seq", where="state = 'failed'")
    index("jobs", "parent", "parent_queue_name", "parent_id", where="parent_id IS NOT NULL")

    table(
        "history",
        sa.Column("id", Serial, primary_key=True, autoincrement=True),
        sa.Column("job_seq", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("body", LongText, nullable=False),
    )
    index("history", "job", "job_seq", "id")

    table(
        "queues",
        sa.Column("name", Key, primary_key=True),
        sa.Column("paused", sa.Boolean, nullable=False, server_default=NO),
        sa.Column("turn", sa.BigInteger, nullable=False, server_default="0"),
    )
    table(
        "pauses",
        sa.Column("queue_name", Key, primary_key=True),
        sa.Column("job_name", Key, primary_key=True),
    )
    table(
        "groups",
        sa.Column("queue_name", Key, primary_key=True),
        sa.Column("group_id", Key, primary_key=True),
        sa.Column("served", sa.BigInteger, nullable=False, server_default="0"),
    )
    index("groups", "served", "queue_name", "served", "group_id")

    table(
        "takes",
        sa.Column("id", Serial, primary_key=True, autoincrement=True),
        sa.Column("queue_name", Key, nullable=False),
        sa.Column("window_ms", sa.BigInteger, nullable=False),
        sa.Column("taken_at", Timestamp, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
    )
    index("takes", "window", "queue_name", "window_ms", "taken_at")

    table(
        "tallies",
        sa.Column("queue_name", Key, primary_key=True),
        sa.Column("state", sa.String(16), primary_key=True),
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("n", sa.BigInteger, nullable=False),
    )
    table(
        "metrics",
        sa.Column("queue_name", Key, primary_key=True),
        sa.Column("job_name", Key, primary_key=True),
        sa.Column("granularity", sa.String(8), primary_key=True),
        sa.Column("period_start", Timestamp, primary_key=True),
        sa.Column("completed_count", sa.BigInteger, nullable=False),
        sa.Column("failed_count", sa.BigInteger, nullable=False),
        sa.Column("total_process_ms", sa.BigInteger, nullable=False),
        sa.Column("min_process_ms", sa.BigInteger, nullable=False),
        sa.Column("max_process_ms", sa.BigInteger, nullable=False),
    )
    index("metrics", "period", "granularity", "period_start")
    steps.record(down_revision, revision)


def downgrade(op: Any = _op, prefix: str | None = None, schema: str | None = None) -> None:
    prefix, schema = located(op, prefix, schema)
    steps = Steps(op, prefix, schema)
    for name in reversed(TABLES):
        steps.drop_table(prefix + name)
    steps.record(revision, down_revision)
