"""Recording how leased jobs ended, many at once.

One UPDATE joins the outcomes on (seq, lease). The job's state is deliberately not in it: with stale
statistics the planner takes a partial index of the active jobs for empty and reads all of it for
every outcome. A lease is held while `locked_by` is set, and no index has that column.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    String,
    Table,
    Update,
    bindparam,
    case,
    null,
    select,
    type_coerce,
    update,
)

from oqron_sql.contract import codec
from oqron_sql.contract.checks import check_duration, check_list, check_name, check_own_queue
from oqron_sql.contract.model import (
    FINISHED,
    AttemptRecord,
    Complete,
    Fail,
    Job,
    JobState,
    Outcome,
    Release,
    Retry,
    Settled,
)
from oqron_sql.contract.options import DEFAULT_OPTIONS
from oqron_sql.dialects import Counted, Dialect
from oqron_sql.errors import InvalidInput
from oqron_sql.hiding import hiding
from oqron_sql.queries import flows, history, metrics, retention, tallies
from oqron_sql.queries.rows import attempt_body
from oqron_sql.queries.tx import INSTANT, Contended, Tx
from oqron_sql.queries.waking import report, rouse
from oqron_sql.schema.tables import STATES, Tables
from oqron_sql.schema.types import LongText

# One statement for what a busy worker gathers; more than one is written with a look before.
CHUNK_ROWS = 5000
CHUNK_BYTES = 4 * 1024 * 1024


@hiding("text", "stacktrace")
@dataclasses.dataclass(slots=True)
class _End:
    """One outcome, checked and encoded."""

    job: Job
    state: JobState
    text: str  # the return value's JSON, or the reason
    delay: timedelta = timedelta(0)
    stacktrace: str | None = None
    failed: bool = False

    @property
    def attempts(self) -> int:
        """How many failed attempts the job has then."""
        return self.job.attempts_made + self.failed

    def row(self, at: datetime | None) -> list[Any]:
        """Return the row of the batch; the longer one if `at` is given."""
        row: list[Any] = [self.job.seq, self.job.lease, self.text]
        if at is not None:
            entries = 1 + (self.stacktrace is not None) if self.failed else 0
            row += [self.state.value, at + self.delay if self.delay else None, entries]
        return row

    def is_at(self, state: JobState, attempts: int) -> bool:
        """Whether this was recorded before: its reply was lost and the caller asks again."""
        if self.state in FINISHED:
            return state is self.state
        # Promotion moves a delayed job on; being lost and taken back does not count an attempt.
        return state in (JobState.WAITING, JobState.DELAYED) and attempts == self.attempts


def finish_jobs(tx: Tx, queue: str, outcomes: Sequence[Outcome]) -> list[Settled]:
    """Record `outcomes`; a stale lease changes nothing and is told as lost."""
    check_name("queue", queue)
    report(tx, queue, [outcome.job.id for outcome in check_list("outcomes", outcomes)])
    plain = _plain(tx, queue, outcomes)
    if plain and _complete(tx, queue, plain):
        return [Settled(o.job.id, o.job.lease, JobState.COMPLETED) for o in outcomes]
    ends = [_checked(queue, outcome, tx.settings.max_payload) for outcome in outcomes]
    if not ends:
        return []
    chunks = list(_chunks(ends))
    if plain:  # what could be is recorded; see what became of the others
        tx.begin()
        return _settle_held(tx, queue, ends)
    fresh = not (tx.joined or tx.begun)
    tx.begin()
    # Nearly always every lease is held: write first, and look only if fewer rows were changed than
    # asked for. That takes back what was written, so it must be all that the transaction holds.
    if fresh and len(chunks) == 1:
        if _record(tx, queue, ends):
            return [Settled(end.job.id, end.job.lease, end.state) for end in ends]
        tx.restart()
    return [settled for chunk in chunks for settled in _settle_held(tx, queue, chunk)]


def _plain(tx: Tx, queue: str, outcomes: Sequence[Outcome]) -> list[tuple[Any, ...]] | None:
    """Return the rows of a batch of which nothing follows but how many completed, else None.

    It is what a busy worker finishes most.
    """
    if tx.settings.metrics is not None or len(outcomes) > CHUNK_ROWS:
        return None
    rows: list[tuple[Any, ...]] = []
    limit, size = tx.settings.max_payload, 0
    for outcome in outcomes:
        job = outcome.job
        if not isinstance(outcome, Complete) or job.parent_id is not None:
            return None
        if job.queue_name != queue or _choosy(job):
            return None
        text = codec.dumps(outcome.returnvalue, limit)
        size += len(text)
        rows.append((job.seq, job.lease, text))
    if size > CHUNK_BYTES or len({row[0] for row in rows}) < len(rows):
        return None
    return rows


def _choosy(job: Job) -> bool:
    """Whether the job may say how long it is to be kept; most do not."""
    return job.opts is not DEFAULT_OPTIONS


def _complete(tx: Tx, queue: str, rows: list[tuple[Any, ...]]) -> bool:
    """Write and count the completions whose lease is held; whether that was all of them."""
    completing = _completing(tx.tables, tx.dialect, tx.dialect.batch_size(rows))
    params = {**tx.dialect.batch_values(_PLAIN, rows), **tx.spans(now=_ZERO)}
    key = tallies.key(tx, queue, JobState.COMPLETED)
    return tx.dialect.change_counted(tx, completing, key, params) == len(rows)


@functools.lru_cache(maxsize=64)
def _completing(tables: Tables, dialect: Dialect, size: int) -> Counted:
    return Counted(
        _finish(tables, dialect, mixed=False, size=size), tables.tallies, tables.tallies.c.n
    )


def _settle_held(tx: Tx, queue: str, ends: Sequence[_End]) -> list[Settled]:
    """Lock the jobs first, then write only the outcomes whose lease is held."""
    jobs = tx.tables.jobs
    columns = (jobs.c.seq, jobs.c.lease, jobs.c.locked_by, jobs.c.state, jobs.c.attempts_made)
    query = select(*columns).where(jobs.c.seq.in_([end.job.seq for end in ends if end.job.seq]))
    rows = tx.conn.execute(
        tx.dialect.lock_rows(query.order_by(jobs.c.seq), skip_locked=False)
    ).all()
    held = {(row.seq, row.lease): row.locked_by is not None for row in rows}
    state = {row.seq: (JobState(row.state), row.attempts_made) for row in rows}
    accepted: list[_End] = []
    settled: list[Settled] = []
    for end in ends:
        key = (end.job.seq, end.job.lease)
        told: JobState | None = None
        if held.get(key):
            held[key] = False
            told = end.state
            state[end.job.seq] = (end.state, end.attempts)
            accepted.append(end)
        elif key in held and end.is_at(*state[end.job.seq]):
            told = state[end.job.seq][0]
        settled.append(Settled(end.job.id, end.job.lease, told))
    if accepted and not _record(tx, queue, accepted):
        raise Contended
    return settled


def _record(tx: Tx, queue: str, ends: Sequence[_End]) -> bool:
    """Write `ends` and what follows from them; False if a lease among them is not held."""
    plain = all(end.state is JobState.COMPLETED for end in ends)
    at = None if plain else tx.read_clock()
    columns = _PLAIN if at is None else _MIXED
    rows = [end.row(at) for end in ends]
    statement = _finish(
        tx.tables, tx.dialect, mixed=at is not None, size=tx.dialect.batch_size(rows)
    )
    params = {
        **tx.dialect.batch_values(columns, rows),
        **({"at": at} if at else tx.spans(now=_ZERO)),
    }
    if tx.conn.execute(statement, params).rowcount != len(ends):
        return False
    _conclude(tx, queue, ends, at)
    return True


@functools.lru_cache(maxsize=64)
def _finish(tables: Tables, dialect: Dialect, *, mixed: bool, size: int) -> Update:
    """Return the statement that records all outcomes of a batch whose lease is held."""
    jobs = tables.jobs
    batch = dialect.batch(_MIXED if mixed else _PLAIN, size)
    if mixed:
        values = _mixed(jobs, batch)
    else:
        now = type_coerce(dialect.later(dialect.span("now")), INSTANT)
        values = _completed(batch, now)
    return (
        update(jobs)
        .where(
            jobs.c.seq == batch.c.seq,
            jobs.c.lease == batch.c.lease,
            jobs.c.locked_by.is_not(None),
        )
        .values({"lock_until": null(), "locked_by": null(), **values})
    )


_ZERO = timedelta(0)
_PLAIN: dict[str, Any] = {"seq": BigInteger(), "lease": BigInteger(), "text": LongText()}
_MIXED: dict[str, Any] = {**_PLAIN, "state": String(16), "due": INSTANT, "entries": BigInteger()}


def _completed(batch: FromClause, now: ColumnElement[Any]) -> dict[str, Any]:
    return {
        "state": STATES[JobState.COMPLETED],
        "returnvalue": batch.c.text,
        "completed_at": now,
        "failed_reason": null(),
        "delay_until": null(),
        "dedup_slot": null(),
    }


def _mixed(jobs: Table, batch: FromClause) -> dict[str, Any]:
    now = bindparam("at", type_=INSTANT)
    done = batch.c.state == STATES[JobState.COMPLETED]
    dead = batch.c.state == STATES[JobState.FAILED]
    failed = batch.c.entries > 0  # every failed attempt leaves its record
    return {
        "state": batch.c.state,
        "returnvalue": case((done, batch.c.text), else_=jobs.c.returnvalue),
        "failed_reason": case((done, null()), (failed, batch.c.text), else_=jobs.c.failed_reason),
        "completed_at": case((done, now), else_=jobs.c.completed_at),
        "failed_at": case((dead, now), else_=jobs.c.failed_at),
        "delay_until": batch.c.due,
        "attempts_made": jobs.c.attempts_made + case((failed, 1), else_=0),
        "entries": jobs.c.entries + batch.c.entries,
        "dedup_slot": case((done | dead, null()), else_=jobs.c.dedup_slot),
    }


def _conclude(tx: Tx, queue: str, ends: Sequence[_End], at: datetime | None) -> None:
    """Write what follows from ends that were accepted."""
    finished = [end for end in ends if end.state in FINISHED]
    tallies.add_all(tx, queue, [end.state for end in finished])
    metrics.record(tx, queue, [end.job.seq for end in finished])
    history.append(tx, [entry for end in ends if end.failed for entry in _entries(end, at)])
    if any(end.state is JobState.WAITING for end in ends):
        rouse(tx, queue)  # of those that are due later, this worker knows
    children = [end for end in finished if end.job.parent_id is not None]
    if children:
        flows.tell(
            tx,
            [flows.Child.of(end.job, end.text if end.failed else None) for end in children],
        )
    retention.keep(tx, queue, [(end.job, end.state) for end in finished if _choosy(end.job)])


def _entries(end: _End, at: datetime | None) -> Iterator[tuple[int, str, str]]:
    seq = end.job.seq or 0
    record = AttemptRecord(
        attempt=end.attempts,
        started_at=end.job.processed_at,
        ended_at=at,
        status="failed",
        error=end.text,
        stacktrace=end.stacktrace,
    )
    if end.stacktrace is not None:
        yield seq, "stack", codec.dumps(end.stacktrace)
    yield seq, "attempt", codec.dumps(attempt_body(record))


def _checked(queue: str, outcome: Outcome, limit: int) -> _End:
    job = outcome.job
    check_own_queue(queue, job.queue_name)
    if isinstance(outcome, Complete):
        return _End(job, JobState.COMPLETED, codec.dumps(outcome.returnvalue, limit))
    if isinstance(outcome, Release):
        return _End(job, JobState.WAITING, "")
    if not isinstance(outcome, Fail | Retry):
        raise InvalidInput("outcome", outcome, "must be Complete, Fail, Retry or Release")
    stack = None if outcome.stacktrace is None else codec.clean_text(outcome.stacktrace)
    reason = codec.clean_text(str(outcome.reason))
    if isinstance(outcome, Fail):
        return _End(job, JobState.FAILED, reason, stacktrace=stack, failed=True)
    delay = check_duration("delay", outcome.delay)
    state = JobState.DELAYED if delay else JobState.WAITING
    return _End(job, state, reason, delay, stack, failed=True)


def _chunks(ends: Sequence[_End]) -> Iterator[Sequence[_End]]:
    start = size = 0
    for i, end in enumerate(ends):
        size += len(end.text)
        if i > start and (i - start == CHUNK_ROWS or size > CHUNK_BYTES):
            yield ends[start:i]
            start, size = i, len(end.text)
    if start < len(ends):
        yield ends[start:]
