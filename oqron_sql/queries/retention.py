"""How long finished jobs are kept.

A job that is to go one day has a row here, so that the others cost nothing. The state and the lease
in it tell whether it still speaks of the job: one that was retried has another lease, or has not
ended, or was cancelled before it began again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, and_, delete, select

from oqron_sql.contract.checks import check_count, check_name
from oqron_sql.contract.model import FINISHED, Job, JobState
from oqron_sql.errors import InvalidInput
from oqron_sql.queries.maintenance import remove_rows
from oqron_sql.queries.removing import doomed
from oqron_sql.queries.rows import in_state
from oqron_sql.queries.tx import Tx

# What one statement removes at most; the next end of a job, or the next sweep, goes on.
STEP = 1000
COLUMNS = ("queue_name", "state", "most", "expires_at", "job_seq", "lease")


def keep(tx: Tx, queue: str, ended: Iterable[tuple[Job, JobState]]) -> None:
    """Remove jobs that have just ended, or those they displace, or note when they are to go."""
    asked = [(job, state, _kept(job, state)) for job, state in ended]
    gone = [job.seq for job, _, kept in asked if kept is True or (kept is not False and kept == 0)]
    noted = [each for each in asked if each[2] is not False and each[0].seq not in gone]
    if gone:
        ended_now = _ended(tx, [seq for seq in gone if seq is not None])
        remove_rows(tx, tx.conn.execute(tx.dialect.lock_rows(ended_now)).all())
    if noted:
        now = tx.read_clock()
        rows = [_row(queue, job, state, kept, now) for job, state, kept in noted]
        tx.dialect.insert_many(tx, tx.tables.retention, COLUMNS, rows, timed=())
    lines = {(state, kept) for _, state, kept in noted if not isinstance(kept, timedelta)}
    for state, most in sorted(lines):
        _trim(tx, queue, state, most)


def remove_expired(tx: Tx, queue: str, *, limit: int = STEP) -> int:
    """Delete finished jobs whose time is over, those first that were over first."""
    check_name("queue", queue)
    check_count("limit", limit, least=1)
    table = tx.tables.retention
    tx.begin()
    due = select(*_spoken_of(table)).where(is_over(tx, queue))
    due = due.order_by(table.c.expires_at).limit(min(limit, STEP))
    held: list[int] = []
    while len(held) < STEP:
        others = due.where(table.c.id.not_in(held)) if held else due
        rows = tx.conn.execute(tx.dialect.lock_rows(others)).all()
        gone, left = _remove(tx, rows)
        if gone or not rows:
            return gone
        # The rest spoke of jobs that were removed or retried meanwhile.
        held += left
    return 0


def is_over(tx: Tx, queue: str) -> ColumnElement[bool]:
    """Return the condition that a row speaks of a time that is over."""
    table = tx.tables.retention
    known = table.c.expires_at.is_not(None)  # the words of a partial index
    return and_(table.c.queue_name == queue, known, table.c.expires_at < tx.now())


def _kept(job: Job, state: JobState) -> bool | int | timedelta:
    opts = job.opts
    return opts.remove_on_complete if state is JobState.COMPLETED else opts.remove_on_fail


def _row(
    queue: str, job: Job, state: JobState, kept: bool | int | timedelta, now: datetime
) -> list[Any]:
    expires_at = None
    if isinstance(kept, timedelta):
        try:
            expires_at = now + kept
        except OverflowError:
            raise InvalidInput("retention", kept, "must end before the year 10000") from None
    return [
        queue,
        state.value,
        None if expires_at else kept,
        expires_at,
        job.seq,
        job.lease,
    ]


def _trim(tx: Tx, queue: str, state: JobState, most: int) -> None:
    """Keep the newest `most` of the jobs that were to be kept so."""
    jobs, table = tx.tables.jobs, tx.tables.retention
    line = (table.c.queue_name == queue, table.c.state == state.value, table.c.most == most)
    spoken_of = and_(
        jobs.c.seq == table.c.job_seq, jobs.c.lease == table.c.lease, in_state(jobs, state)
    )
    newest_first = select(table.c.id).join(jobs, spoken_of).where(*line)
    last_kept = newest_first.order_by(table.c.id.desc()).offset(most - 1).limit(1)
    # Rows, too, that speak of jobs which are no more.
    past = select(*_spoken_of(table)).where(*line, table.c.id < last_kept.scalar_subquery())
    rows = tx.conn.execute(past.order_by(table.c.id).limit(STEP)).all()
    if rows:
        _remove(tx, rows)


def _remove(tx: Tx, rows: Sequence[Row[Any]]) -> tuple[int, list[int]]:
    """Delete the finished jobs that `rows` speak of, and these rows alone.

    Return how many jobs that were, and the rows that are left: somebody has locked their jobs.
    """
    if not rows:
        return 0, []
    jobs, table = tx.tables.jobs, tx.tables.retention
    meant = {_end(row) for row in rows}
    ended = _ended(tx, [row.seq for row in rows])
    found = [job for job in tx.conn.execute(tx.dialect.lock_rows(ended)) if _end(job) in meant]
    gone = remove_rows(tx, found)
    locked = meant - {_end(job) for job in found}
    if locked:
        still: Select[Any] = ended.with_only_columns(jobs.c.seq, jobs.c.state, jobs.c.lease)
        locked &= {_end(job) for job in tx.conn.execute(still)}
    left = [row.id for row in rows if _end(row) in locked]
    over = [row.id for row in rows if _end(row) not in locked]
    if over:
        tx.conn.execute(delete(table).where(table.c.id.in_(over)))
    return gone, left


def _spoken_of(table: Table) -> tuple[Any, ...]:
    """Return the columns that tell of which end of which job a row speaks."""
    return table.c.id, table.c.job_seq.label("seq"), table.c.state, table.c.lease


def _end(row: Row[Any]) -> tuple[int, str, int]:
    """Return the end that a row of jobs is at, or that a row here speaks of."""
    return row.seq, row.state, row.lease


def _ended(tx: Tx, seqs: Sequence[int]) -> Select[Any]:
    """Select those of the jobs that are finished."""
    jobs = tx.tables.jobs
    query = doomed(jobs).add_columns(jobs.c.lease)
    return query.where(jobs.c.seq.in_(seqs), in_state(jobs, *FINISHED)).order_by(jobs.c.seq)
