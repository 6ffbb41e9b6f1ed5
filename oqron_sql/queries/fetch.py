"""Leasing waiting jobs: the heart of the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select, type_coerce

from oqron_sql.contract.checks import check_count, check_duration, check_name
from oqron_sql.contract.model import Job, JobState
from oqron_sql.contract.options import ANY, FetchOptions
from oqron_sql.queries import groups, rates
from oqron_sql.queries.counting import count_active
from oqron_sql.queries.rows import job_columns, jobs_from_rows
from oqron_sql.queries.tx import INSTANT, Tx
from oqron_sql.schema.tables import STATES


def fetch_next_job(
    tx: Tx, queue: str, worker_id: str, lock_duration: timedelta, opts: FetchOptions = ANY
) -> Job | None:
    """Lease the next waiting job, or None."""
    jobs = fetch_jobs(tx, queue, worker_id, lock_duration, 1, opts)
    return jobs[0] if jobs else None


def fetch_jobs(
    tx: Tx,
    queue: str,
    worker_id: str,
    lock_duration: timedelta,
    n: int,
    opts: FetchOptions = ANY,
) -> list[Job]:
    """Lease up to `n` waiting jobs; by priority, then in the order of insertion."""
    check_name("queue", queue)
    check_name("worker_id", worker_id)
    check_duration("lock_duration", lock_duration)
    n = _allowed(tx, queue, check_count("n", n), opts)
    if n == 0:
        return []
    lease = {
        "state": STATES[JobState.ACTIVE],
        "locked_by": worker_id,
        "lock_until": type_coerce(tx.now(lock_duration), INSTANT),
        "processed_at": type_coerce(tx.now(), INSTANT),
    }
    if opts.grouped:
        rows = groups.claim_by_turn(tx, queue, n, opts, lease)
    elif opts.lifo:
        rows = _claim_newest(tx, queue, n, opts, lease)
    else:
        rows = claim(tx, runnable(tx, queue, opts).order_by(*oldest(tx)).limit(n), lease)
    if opts.rate_limit is not None and rows:
        rates.take(tx, queue, opts.rate_limit, len(rows))
    return jobs_from_rows(tx, rows)


def claim(
    tx: Tx, candidates: Select[Any], lease: dict[str, Any], *, newest: bool = False
) -> list[Row[Any]]:
    """Lease the rows that `candidates` selects, in the order of a fetch."""
    jobs = tx.tables.jobs
    rows = tx.dialect.claim(
        tx, jobs, candidates, lease, bump=jobs.c.lease, returning=job_columns(jobs)
    )
    # What an UPDATE returns has no order.
    sign = -1 if newest else 1
    return sorted(rows, key=lambda row: (row.priority, sign * row.seq))


def runnable(tx: Tx, queue: str, opts: FetchOptions) -> Select[Any]:
    """Select the waiting jobs of a queue that are not paused; from the table itself."""
    jobs, pauses, queues = tx.tables.jobs, tx.tables.pauses, tx.tables.queues
    paused = select(pauses.c.job_name).where(pauses.c.queue_name == queue)
    stopped = select(queues.c.name).where(queues.c.name == queue, queues.c.paused)
    query = select(jobs.c.seq).where(
        jobs.c.queue_name == queue,
        jobs.c.state == STATES[JobState.WAITING],
        jobs.c.name.not_in(paused),
        ~stopped.exists(),
    )
    if opts.job_name is not None:
        query = query.where(jobs.c.name == opts.job_name)
    return query


def oldest(tx: Tx) -> Sequence[ColumnElement[Any]]:
    """Return the order in which the index of waiting jobs has them."""
    jobs = tx.tables.jobs
    return jobs.c.priority, jobs.c.seq


def _claim_newest(
    tx: Tx, queue: str, n: int, opts: FetchOptions, lease: dict[str, Any]
) -> list[Row[Any]]:
    """Claim one class of priority after the other: then an index gives this order too."""
    jobs = tx.tables.jobs
    waiting = runnable(tx, queue, opts)
    taken: list[Row[Any]] = []
    best: int | None = None
    while len(taken) < n:
        heads = waiting.with_only_columns(jobs.c.priority).order_by(*oldest(tx)).limit(1)
        best = tx.conn.scalar(heads if best is None else heads.where(jobs.c.priority > best))
        if best is None:
            break
        same = waiting.where(jobs.c.priority == best).order_by(jobs.c.seq.desc())
        taken += claim(tx, same.limit(n - len(taken)), lease, newest=True)
    return taken


def _allowed(tx: Tx, queue: str, n: int, opts: FetchOptions) -> int:
    """Return how many of `n` the limits leave; with limits, one fetch at a time gets past here."""
    if opts.rate_limit is None and opts.max_active is None:
        return n
    tx.dialect.serialize(tx, tx.tables.queues, queue)
    if opts.rate_limit is not None:
        n = min(n, rates.left(tx, queue, opts.rate_limit))
    if opts.max_active is not None:
        n = min(n, opts.max_active - count_active(tx, queue))
    return max(n, 0)
