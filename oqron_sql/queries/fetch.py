"""Leasing waiting jobs: the heart of the store."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    Table,
    bindparam,
    case,
    select,
    type_coerce,
)

from oqron_sql.contract.checks import check_count, check_duration, check_name
from oqron_sql.contract.model import Job, JobState
from oqron_sql.contract.options import ANY, FetchOptions
from oqron_sql.dialects import Claim, Dialect
from oqron_sql.queries import groups, rates
from oqron_sql.queries.counting import count_active
from oqron_sql.queries.rows import in_line, job_columns, jobs_from_rows
from oqron_sql.queries.tx import INSTANT, Tx
from oqron_sql.schema.tables import STATES, Tables


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
    params = {"queue": queue, "worker": worker_id, **tx.spans(lock=lock_duration, now=_ZERO)}
    if opts.job_name is not None:
        params["job_name"] = opts.job_name
    if opts.grouped:
        rows = groups.claim_by_turn(tx, n, opts, params)
    elif opts.lifo:
        rows = _claim_newest(tx, n, opts, params)
    else:
        first = _first(tx.tables, tx.dialect, opts.job_name is not None)
        rows = claim(tx, first, {**params, "n": n})
    if opts.rate_limit is not None and rows:
        rates.take(tx, queue, opts.rate_limit, len(rows))
    return jobs_from_rows(tx, rows)


_ZERO = timedelta(0)


def claim(tx: Tx, claim: Claim, params: dict[str, Any], *, newest: bool = False) -> list[Row[Any]]:
    """Lease the rows that `claim` selects, in the order of a fetch."""
    # What an UPDATE returns has no order. The newest are of one priority, so turning them is right.
    return sorted(tx.dialect.claim(tx, claim, params), key=in_line, reverse=newest)


def leasing(tables: Tables, dialect: Dialect, candidates: Select[Any]) -> Claim:
    """Return the claim that leases `candidates` to `worker` until now plus `lock`."""
    jobs = tables.jobs
    return Claim(
        jobs,
        candidates,
        {
            "state": STATES[JobState.ACTIVE],
            "locked_by": bindparam("worker", type_=jobs.c.locked_by.type),
            "lock_until": type_coerce(dialect.later(dialect.span("lock")), INSTANT),
            "processed_at": type_coerce(dialect.later(dialect.span("now")), INSTANT),
        },
        bump=jobs.c.lease,
        returning=job_columns(jobs),
    )


def runnable(tables: Tables, named: bool) -> Select[Any]:
    """Select the waiting jobs of a queue that are not paused; from the table itself."""
    jobs, pauses, queues = tables.jobs, tables.pauses, tables.queues
    queue = bindparam("queue", type_=jobs.c.queue_name.type)
    paused = select(pauses.c.job_name).where(pauses.c.queue_name == queue)
    stopped = select(queues.c.name).where(queues.c.name == queue, queues.c.paused)
    query = select(jobs.c.seq).where(
        # Of a paused queue not even the index is read: no name is equal to NULL. Beside the other
        # conditions it would be asked again for every waiting job, on SQLite.
        jobs.c.queue_name == case((~stopped.exists(), queue)),
        jobs.c.state == STATES[JobState.WAITING],
        jobs.c.name.not_in(paused),
    )
    if named:
        query = query.where(jobs.c.name == bindparam("job_name", type_=jobs.c.name.type))
    return query


def oldest(jobs: Table) -> Sequence[ColumnElement[Any]]:
    """Return the order in which the index of waiting jobs has them."""
    return jobs.c.priority, jobs.c.seq


@functools.lru_cache(maxsize=64)
def _first(tables: Tables, dialect: Dialect, named: bool) -> Claim:
    ordered = runnable(tables, named).order_by(*oldest(tables.jobs))
    return leasing(tables, dialect, ordered.limit(bindparam("n", type_=Integer)))


@functools.lru_cache(maxsize=64)
def _newest(tables: Tables, dialect: Dialect, named: bool) -> Claim:
    jobs = tables.jobs
    same = runnable(tables, named).where(jobs.c.priority == bindparam("class", type_=Integer))
    ordered = same.order_by(jobs.c.seq.desc())
    return leasing(tables, dialect, ordered.limit(bindparam("n", type_=Integer)))


def _claim_newest(tx: Tx, n: int, opts: FetchOptions, params: dict[str, Any]) -> list[Row[Any]]:
    """Claim one class of priority after the other: then an index gives this order too."""
    jobs, named = tx.tables.jobs, opts.job_name is not None
    heads = runnable(tx.tables, named).with_only_columns(jobs.c.priority)
    heads = heads.order_by(*oldest(jobs)).limit(1)
    newest = _newest(tx.tables, tx.dialect, named)
    taken: list[Row[Any]] = []
    best: int | None = None
    while len(taken) < n:
        best = tx.conn.scalar(
            heads if best is None else heads.where(jobs.c.priority > best), params
        )
        if best is None:
            break
        more = {**params, "class": best, "n": n - len(taken)}
        taken += claim(tx, newest, more, newest=True)
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
