"""A job as a row, and back."""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, Table, case, literal_column, select

from oqron_sql.contract import codec
from oqron_sql.contract.checks import (
    check_count,
    check_finite,
    check_instant,
    check_name,
    check_own_queue,
)
from oqron_sql.contract.model import FINISHED, AttemptRecord, Job, JobState, check_state
from oqron_sql.contract.options import DEFAULT_OPTIONS
from oqron_sql.queries.options import dump_options, load_options
from oqron_sql.queries.tx import Tx

# In the order in which `job_from_row` reads them.
COLUMNS = (
    "seq", "queue_name", "id", "name", "state", "lease", "lost_count", "attempts_made", "progress",
    "pending_children_count", "entries", "discarded", "created_at", "processed_at", "completed_at",
    "failed_at", "cancelled_at", "delay_until", "lock_until", "locked_by", "group_id",
    "deduplication_key", "parent_queue_name", "parent_id", "opts", "data", "returnvalue",
    "failed_reason", "children_ids", "priority",
)  # fmt: skip
_SEQ, _ENTRIES = COLUMNS.index("seq"), COLUMNS.index("entries")
STATES = {state.value: state for state in JobState}
INSTANTS = (
    "created_at",
    "processed_at",
    "completed_at",
    "failed_at",
    "cancelled_at",
    "delay_until",
    "lock_until",
)
COUNTS = ("lease", "lost_count", "attempts_made", "pending_children_count")
NOW = timedelta(0)
NAMES = ("locked_by", "group_id", "deduplication_key", "parent_queue_name", "parent_id")


def job_columns(jobs: Table) -> list[Column[Any]]:
    """Return the columns that make a Job; always by name, so that a later one does no harm."""
    return [jobs.c[name] for name in COLUMNS]


def in_state(jobs: Table, *states: JobState) -> ColumnElement[bool]:
    """Return the condition that a job known by its key is in one of `states`.

    It is hidden from the planner, which with stale statistics takes a partial index of, say, the
    active jobs for empty and reads all of it instead of one row by its key.
    """
    return case((jobs.c.state.in_([s.value for s in states]), literal_column("1")), else_=0) == 1


def job_from_row(row: Sequence[Any]) -> Job:
    """Return the job that a row of `job_columns` holds, without its history."""
    job = Job.__new__(Job)  # member by member, which takes half as long as the constructor
    (
        job.seq, job.queue_name, job.id, job.name, state, job.lease, job.lost_count,
        job.attempts_made, job.progress, job.pending_children_count, _, discarded,
        job.created_at, job.processed_at, job.completed_at, job.failed_at, job.cancelled_at,
        job.delay_until, job.lock_until, job.locked_by, job.group_id, job.deduplication_key,
        job.parent_queue_name, job.parent_id, opts, data, returnvalue, job.failed_reason,
        children_ids, _,
    ) = row  # fmt: skip
    job.state = STATES[state]
    job.discarded = bool(discarded)
    job.opts = load_options(opts)
    job.data = codec.loads(data)
    job.returnvalue = None if returnvalue is None else codec.loads(returnvalue)
    job.children_ids = () if children_ids is None else tuple(json.loads(children_ids))
    job.logs = job.stacktrace = job.attempt_logs = ()
    return job


def in_line(row: Sequence[Any]) -> tuple[int, int]:
    """Return the place of a row of `job_columns` in the order of a fetch."""
    return row[-1], row[_SEQ]


def jobs_from_rows(tx: Tx, rows: Sequence[Row[Any]]) -> list[Job]:
    """Return the jobs of `rows` of `job_columns`, with logs, stack traces and attempts."""
    jobs = [job_from_row(row) for row in rows]
    told = {row[_SEQ]: job for job, row in zip(jobs, rows, strict=True) if row[_ENTRIES]}
    if told:
        table = tx.tables.history
        entries = select(table.c.job_seq, table.c.kind, table.c.body).where(
            table.c.job_seq.in_(list(told))
        )
        in_order = entries.order_by(table.c.job_seq, table.c.id)  # as the index has it
        for seq, history in itertools.groupby(tx.conn.execute(in_order), lambda entry: entry[0]):
            _add_history(told[seq], history)
    for job in jobs:
        if job.state is JobState.COMPLETED:
            _add_last_attempt(job)
    return jobs


def _add_history(job: Job, entries: Iterable[Sequence[Any]]) -> None:
    kinds: dict[str, list[Any]] = {"log": [], "stack": [], "attempt": []}
    for _, kind, body in entries:
        kinds[kind].append(codec.loads(body))
    job.logs, job.stacktrace = tuple(kinds["log"]), tuple(kinds["stack"])
    job.attempt_logs = tuple(
        AttemptRecord(**{**body, "logs": tuple(body.get("logs", ()))}) for body in kinds["attempt"]
    )


def _add_last_attempt(job: Job) -> None:
    """Add the attempt that completed the job: its own row says all of it, so it is not stored."""
    if job.processed_at and job.lease:
        last = completed_attempt(job.attempts_made + 1, job.processed_at, job.completed_at)
        if not any(_is_same(last, told) for told in job.attempt_logs):
            job.attempt_logs = (*job.attempt_logs, last)


def _is_same(attempt: AttemptRecord, told: AttemptRecord) -> bool:
    """Whether it is the same attempt; one that was retried later bears the same number again."""
    return (attempt.attempt, attempt.status, attempt.started_at) == (
        told.attempt,
        told.status,
        told.started_at,
    )


def completed_attempt(
    number: int, started_at: datetime | None, ended_at: datetime | None
) -> AttemptRecord:
    """Return the record of an attempt that succeeded."""
    return AttemptRecord(
        attempt=number, started_at=started_at, ended_at=ended_at, status="completed"
    )


def attempt_body(record: AttemptRecord) -> dict[str, Any]:
    """Return `record` as JSON can carry it, with texts that every database can store.

    Raises:
        InvalidInput: an instant has no time zone.
    """
    body = {name: getattr(record, name) for name in AttemptRecord.__slots__}
    for name in ("started_at", "ended_at"):
        if body[name] is not None:
            body[name] = check_instant("attempt_logs", body[name])
    for name in ("error", "stacktrace"):
        if body[name] is not None:
            body[name] = codec.clean_text(body[name])
    return {**body, "logs": [codec.clean_text(line) for line in record.logs]}


def history_of(job: Job) -> list[tuple[str, str]]:
    """Return the history a job is saved with, as kinds and JSON texts."""
    return [
        *(("log", codec.dumps(codec.clean_text(line))) for line in job.logs),
        *(("stack", codec.dumps(codec.clean_text(text))) for text in job.stacktrace),
        *(("attempt", codec.dumps(attempt_body(record))) for record in job.attempt_logs),
    ]


_rest = operator.attrgetter(
    *INSTANTS, *NAMES, *COUNTS, "progress", "discarded", "failed_reason",
    "logs", "stacktrace", "attempt_logs", "children_ids",
)  # fmt: skip
_FRESH = (
    *(None for _ in (*INSTANTS, *NAMES)),
    *(0 for _ in COUNTS),
    0,
    False,
    None,
    (),
    (),
    (),
    (),
)


def row_of(queue: str, job: Job, limit: int) -> dict[str, Any]:
    """Return the members of `job` that differ from a fresh row's, checked.

    Raises:
        InvalidInput: a name, an instant or a value cannot be stored, or the queue is another.
    """
    check_own_queue(queue, job.queue_name)
    row: dict[str, Any] = {
        "queue_name": check_name("queue", queue),
        "id": check_name("id", job.id),
        "name": check_name("name", job.name),
        "state": check_state("state", job.state)._value_,  # as .value, and no call
        "data": codec.dumps(job.data, limit),
    }
    if job.returnvalue is None and job.opts is DEFAULT_OPTIONS and _rest(job) == _FRESH:
        return row  # of a fresh job, that is all
    for name in INSTANTS:
        value = getattr(job, name)
        if value is not None:
            row[name] = check_instant(name, value)
    for name in NAMES:
        value = getattr(job, name)
        if value is not None:
            row[name] = check_name(name, value)
    if "deduplication_key" in row and row["state"] not in FINISHED:
        row["dedup_slot"] = row["deduplication_key"]
    for name in (*COUNTS, "discarded"):
        value = getattr(job, name)
        if value:
            row[name] = value
    if check_finite("progress", job.progress):
        row["progress"] = float(job.progress)  # of one type in all rows of a batch
    for name in COUNTS:
        check_count(name, getattr(job, name))
    opts = dump_options(job.opts)
    if opts is not None:
        row["opts"] = opts
        if job.opts.priority:
            row["priority"] = job.opts.priority
        if job.opts.repeat:
            row["repeats"] = True
    if job.returnvalue is not None:
        row["returnvalue"] = codec.dumps(job.returnvalue, limit)
    if job.failed_reason is not None:
        row["failed_reason"] = codec.clean_text(job.failed_reason)
    if job.children_ids:
        row["children_ids"] = dump_ids(job.children_ids)
    entries = len(job.logs) + len(job.stacktrace) + len(job.attempt_logs)
    if entries:
        row["entries"] = entries
    return row


def dump_ids(ids: Iterable[str]) -> str:
    """Return ids as JSON text."""
    return codec.dumps([check_name("children_ids", value) for value in ids])


def place(row: dict[str, Any], job: Job, now: datetime | timedelta = NOW) -> None:
    """Fill in what counts from now: as instants, or as timedeltas where now is not known yet."""
    created = row.setdefault("created_at", now)
    if row["state"] == JobState.DELAYED and "delay_until" not in row:
        row["delay_until"] = now + (job.opts.delay or NOW)
    if "dedup_slot" in row:
        ttl = job.opts.deduplication.ttl if job.opts.deduplication else None
        if ttl is not None:
            row["dedup_until"] = (created if isinstance(created, datetime) else now) + ttl
