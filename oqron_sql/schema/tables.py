"""The tables, once."""

from __future__ import annotations

import dataclasses
import functools
import re

from sqlalchemy import (
    BLANK_SCHEMA,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    literal_column,
    text,
)

from oqron_sql.contract.model import JobState
from oqron_sql.dialects import index_options, table_options
from oqron_sql.errors import InvalidPrefix
from oqron_sql.schema.adapter_tables import adapter_tables
from oqron_sql.schema.types import Key, LongText, Serial, Timestamp

DEFAULT_PREFIX = "oqron_"
MARK = "oqron_sql"  # in the `info` of each table
_SAFE = re.compile(r"[a-z_][a-z0-9_]{0,30}")

# Partial indexes are used only for a literal; a bound state would defeat them.
STATES = {state: literal_column(f"'{state.value}'", String()) for state in JobState}
RESTING = (JobState.WAITING, JobState.DELAYED, JobState.WAITING_CHILDREN)


@dataclasses.dataclass(frozen=True, eq=False)
class Tables:
    """The tables under one prefix in one schema."""

    prefix: str
    schema: str | None
    metadata: MetaData
    jobs: Table
    history: Table
    queues: Table
    pauses: Table
    groups: Table
    takes: Table
    tallies: Table
    metrics: Table
    documents: Table
    fields: Table
    messages: Table
    stopped: Table
    broadcasts: Table
    locks: Table
    retention: Table
    schedules: Table


def check_identifier(kind: str, value: str) -> str:
    """Return `value` if it is safe as (the start of) a table's name on every database.

    Raises:
        InvalidPrefix: it is not.
    """
    if not isinstance(value, str) or not _SAFE.fullmatch(value):
        raise InvalidPrefix(kind, value, _SAFE.pattern)
    return value


@functools.cache
def tables(prefix: str = DEFAULT_PREFIX, schema: str | None = None) -> Tables:
    """Return the tables under `prefix` in `schema`.

    Raises:
        InvalidPrefix: one of them is not a safe identifier.
    """
    return build(MetaData(), prefix, schema)


def build(
    metadata: MetaData,
    prefix: str = DEFAULT_PREFIX,
    schema: str | None = None,
    *,
    values: type[LongText] = LongText,
) -> Tables:
    """Add the tables to `metadata`, which may be a host's, and return them.

    `values` is the type of what is kept as JSON.
    """
    check_identifier("prefix", prefix)
    if schema is not None:
        check_identifier("schema", schema)

    def table(name: str, *items: Column[object] | Index, key: tuple[str, ...] = ()) -> Table:
        where = BLANK_SCHEMA if schema is None else schema  # not the host's default
        info = {MARK: prefix, "key": key}
        return Table(prefix + name, metadata, *items, schema=where, info=info, **table_options())

    def index(name: str, *columns: str, where: str | None = None, unique: bool = False) -> Index:
        options = index_options(text(where)) if where else {}
        return Index(f"{prefix}{name}", *columns, unique=unique, **options)

    waiting, active = _is(JobState.WAITING), _is(JobState.ACTIVE)
    resting = "state IN ('waiting', 'delayed', 'waiting-children')"
    jobs = table(
        "jobs",
        Column("seq", Serial, primary_key=True, autoincrement=True),
        Column("queue_name", Key, nullable=False),
        Column("id", Key, nullable=False),
        Column("name", Key, nullable=False),
        Column("state", String(16), nullable=False),
        Column("priority", Integer, nullable=False, server_default="0"),
        Column("lease", BigInteger, nullable=False, server_default="0"),
        Column("lost_count", Integer, nullable=False, server_default="0"),
        Column("attempts_made", Integer, nullable=False, server_default="0"),
        Column("progress", Double, nullable=False, server_default="0"),
        Column("pending_children_count", Integer, nullable=False, server_default="0"),
        Column("entries", Integer, nullable=False, server_default="0"),
        Column("discarded", Boolean, nullable=False, server_default=text("'0'")),
        Column("repeats", Boolean, nullable=False, server_default=text("'0'")),
        Column("parent_notified", Boolean, nullable=False, server_default=text("'0'")),
        Column("created_at", Timestamp, nullable=False),
        Column("processed_at", Timestamp),
        Column("completed_at", Timestamp),
        Column("failed_at", Timestamp),
        Column("cancelled_at", Timestamp),
        Column("delay_until", Timestamp),
        Column("lock_until", Timestamp),
        Column("locked_by", Key),
        Column("group_id", Key),
        Column("deduplication_key", Key),
        Column("dedup_slot", Key),
        Column("dedup_until", Timestamp),
        Column("parent_queue_name", Key),
        Column("parent_id", Key),
        Column("opts", values),
        Column("data", values, nullable=False),
        Column("returnvalue", values),
        Column("failed_reason", LongText),
        Column("children_ids", values),
        # Leads with the id, so that it also answers a look-up without a queue.
        index("jobs_id", "id", "queue_name", unique=True),
        index("jobs_slot", "queue_name", "dedup_slot", unique=True, where="dedup_slot IS NOT NULL"),
        # The order of a claim; nothing is sorted.
        index("jobs_fetch", "queue_name", "state", "priority", "seq", where=waiting),
        index("jobs_group", "queue_name", "group_id", "state", "priority", "seq", where=waiting),
        index("jobs_busy", "queue_name", "group_id", where=f"{active} AND group_id IS NOT NULL"),
        index("jobs_lock", "queue_name", "lock_until", where=active),
        index("jobs_delay", "queue_name", "delay_until", where=_is(JobState.DELAYED)),
        index("jobs_live", "queue_name", "state", "created_at", "seq", where=resting),
        index("jobs_completed", "queue_name", "completed_at", "seq", where=_is(JobState.COMPLETED)),
        index("jobs_failed", "queue_name", "failed_at", "seq", where=_is(JobState.FAILED)),
        index("jobs_parent", "parent_queue_name", "parent_id", where="parent_id IS NOT NULL"),
    )  # fmt: skip
    return Tables(
        prefix=prefix,
        schema=schema,
        metadata=metadata,
        jobs=jobs,
        # Logs, stack traces and attempts: only ever appended, so that no append is lost.
        history=table(
            "history",
            Column("id", Serial, primary_key=True, autoincrement=True),
            Column("job_seq", BigInteger, nullable=False),
            Column("kind", String(8), nullable=False),
            Column("body", values, nullable=False),
            index("history_job", "job_seq", "id"),
        ),
        # One row per queue that was ever paused or needs its fetches one by one.
        queues=table(
            "queues",
            Column("name", Key, primary_key=True),
            Column("paused", Boolean, nullable=False, server_default=text("'0'")),
            Column("turn", BigInteger, nullable=False, server_default="0"),
        ),
        pauses=table(
            "pauses",
            Column("queue_name", Key, primary_key=True),
            Column("job_name", Key, primary_key=True),
        ),
        # No counters here that could drift: only whose turn it is. "" stands for "no group".
        groups=table(
            "groups",
            Column("queue_name", Key, primary_key=True),
            Column("group_id", Key, primary_key=True),
            Column("served", BigInteger, nullable=False, server_default="0"),
            index("groups_served", "queue_name", "served", "group_id"),
        ),
        takes=table(
            "takes",
            Column("id", Serial, primary_key=True, autoincrement=True),
            Column("queue_name", Key, nullable=False),
            Column("window_ms", BigInteger, nullable=False),
            Column("taken_at", Timestamp, nullable=False),
            Column("n", Integer, nullable=False),
            index("takes_window", "queue_name", "window_ms", "taken_at"),
        ),
        # How many finished jobs there are, so that counting them does not mean reading them. Each
        # store writes its own shard: workers do not wait for each other.
        tallies=table(
            "tallies",
            Column("queue_name", Key, primary_key=True),
            Column("state", String(16), primary_key=True),
            Column("shard", Integer, primary_key=True, autoincrement=False),
            Column("n", BigInteger, nullable=False),
        ),
        metrics=table(
            "metrics",
            Column("queue_name", Key, primary_key=True),
            Column("job_name", Key, primary_key=True),
            Column("granularity", String(8), primary_key=True),
            Column("period_start", Timestamp, primary_key=True),
            Column("completed_count", BigInteger, nullable=False),
            Column("failed_count", BigInteger, nullable=False),
            Column("total_process_ms", BigInteger, nullable=False),
            Column("min_process_ms", BigInteger, nullable=False),
            Column("max_process_ms", BigInteger, nullable=False),
            index("metrics_period", "granularity", "period_start"),
        ),
        **adapter_tables(table, index),
        # When a finished job is to go, or as one of how many it is kept; none for most jobs.
        retention=table(
            "retention",
            Column("id", Serial, primary_key=True, autoincrement=True),
            Column("queue_name", Key, nullable=False),
            Column("state", String(16), nullable=False),
            Column("most", Integer),
            Column("expires_at", Timestamp),
            Column("job_seq", BigInteger, nullable=False),
            Column("lease", BigInteger, nullable=False),
            index("retention_due", "queue_name", "expires_at", where="expires_at IS NOT NULL"),
            index("retention_line", "queue_name", "state", "most", "id", where="most IS NOT NULL"),
        ),
        # Only what is due some time has a next slot: a series that is paused or over costs nothing.
        schedules=table(
            "schedules",
            Column("queue_name", Key, primary_key=True),
            Column("schedule_key", Key, primary_key=True),
            Column("job_name", Key, nullable=False),
            Column("cron", Key),
            Column("every_us", BigInteger),
            Column("tz", Key),
            Column("start_at", Timestamp),
            Column("end_at", Timestamp),
            Column("most", BigInteger),
            Column("catchup", String(8), nullable=False),
            Column("paused", Boolean, nullable=False, server_default=text("'0'")),
            Column("fired", BigInteger, nullable=False, server_default="0"),
            Column("anchor", Timestamp, nullable=False),
            Column("last_slot", Timestamp),
            Column("next_slot", Timestamp),
            Column("version", BigInteger, nullable=False),
            Column("opts", values),
            Column("data", values, nullable=False),
            index("schedules_due", "queue_name", "next_slot", where="next_slot IS NOT NULL"),
        ),
    )


def _is(state: JobState) -> str:
    return f"state = '{state.value}'"
