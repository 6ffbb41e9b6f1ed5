"""Extending, releasing and taking back leases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, Update, bindparam, case, null, select, update

from oqron_sql.contract.checks import (
    check_count,
    check_duration,
    check_list,
    check_names,
    check_own_queue,
)
from oqron_sql.contract.model import Extension, Job, JobState, Recovered
from oqron_sql.errors import LeaseLost
from oqron_sql.queries import flows, metrics, retention, tallies
from oqron_sql.queries.rows import in_state, job_columns, job_from_row, jobs_from_rows
from oqron_sql.queries.tx import INSTANT, Tx
from oqron_sql.queries.waking import report, rouse
from oqron_sql.schema.tables import STATES, Tables


def lease_lost(tx: Tx, queue: str, job_id: str, lease: int) -> LeaseLost:
    """Return the error that says who has the job now."""
    jobs = tx.tables.jobs
    query = select(jobs.c.lease).where(jobs.c.id == job_id, jobs.c.queue_name == queue)
    return LeaseLost(queue, job_id, lease, tx.conn.scalar(tx.current(query)))


def extend_lock(
    tx: Tx, queue: str, job_id: str, duration: timedelta, *, lease: int | None = None
) -> bool:
    """Let the lock of an active job end at now + `duration`."""
    check_names(queue=queue, job_id=job_id)
    jobs = tx.tables.jobs
    check_duration("duration", duration)
    statement = (
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.queue_name == queue)
        .values(lock_until=tx.written(duration))
    )
    if lease is None:
        return tx.conn.execute(statement.where(in_state(jobs, JobState.ACTIVE))).rowcount == 1
    held = statement.where(jobs.c.lease == lease, jobs.c.locked_by.is_not(None))
    if tx.conn.execute(held).rowcount == 0:
        raise lease_lost(tx, queue, job_id, lease)
    return True


def extend_locks(tx: Tx, queue: str, jobs: Sequence[Job], duration: timedelta) -> list[Extension]:
    """Lock the rows that can be had at once, extend their leases, and look at the others."""
    _check(queue, jobs)
    check_duration("duration", duration)
    if not jobs:
        return []
    tx.begin()
    locked = _found(tx, _locking(tx, jobs, duration))
    held = [locked[job.seq] for job in jobs if _is_held(job, locked.get(job.seq))]
    if held:
        until = held[0].until
        extending = _extending(tx.tables, [row.seq for row in held])
        tx.conn.execute(extending, {"until": until})
    passed = _passed_over(tx, [job for job in jobs if job.seq not in locked])
    return [
        _extended(job, locked[job.seq], until)
        if _is_held(job, locked.get(job.seq))
        else _extension(job, locked.get(job.seq, passed.get(job.seq)), skipped=True)
        for job in jobs
    ]


def check_locks(tx: Tx, queue: str, jobs: Sequence[Job]) -> list[Extension]:
    """Say of many leases what extending them would; one statement, no transaction."""
    _check(queue, jobs)
    return _looked_up(tx, jobs) if jobs else []


def _check(queue: str, jobs: Sequence[Job]) -> None:
    check_names(queue=queue)
    for job in check_list("jobs", jobs):
        check_own_queue(queue, job.queue_name)


def _looked_up(tx: Tx, jobs: Sequence[Job]) -> list[Extension]:
    found = _found(tx, tx.current(_standing(tx, jobs)))
    return [_extension(job, found.get(job.seq)) for job in jobs]


def _passed_over(tx: Tx, jobs: Sequence[Job]) -> dict[int | None, Any]:
    """Read rows that others hold, and do not wait as MariaDB would to read them as current.

    A host's snapshot may be older than a lease, or the row gone: only those are waited for.
    """
    found = _found(tx, _standing(tx, jobs)) if jobs else {}
    unsure = [job for job in jobs if not _is_held(job, found.get(job.seq))] if tx.joined else []
    if not unsure:
        return found
    now = _found(tx, tx.current(_standing(tx, unsure)))
    return found | {job.seq: now.get(job.seq) for job in unsure}


def _found(tx: Tx, query: Select[Any]) -> dict[int | None, Any]:
    return {row.seq: row for row in tx.conn.execute(query)}


def _locking(tx: Tx, jobs: Sequence[Job], duration: timedelta) -> Select[Any]:
    # With the new end: what is extended can be told without reading it again.
    return tx.dialect.lock_rows(_standing(tx, jobs).add_columns(tx.now(duration).label("until")))


def _standing(tx: Tx, jobs: Sequence[Job]) -> Select[Any]:
    table = tx.tables.jobs
    columns = (
        table.c.seq,
        table.c.lease,
        table.c.locked_by,
        table.c.lock_until,
        table.c.cancelled_at,
    )
    return select(*columns).where(table.c.seq.in_([job.seq for job in jobs]))


def _extending(tables: Tables, seqs: Sequence[int]) -> Update:
    jobs, until = tables.jobs, bindparam("until", type_=INSTANT)
    # It may be late, while a later call for this one was answered: what that was told must stay
    # true.
    longer = case((jobs.c.lock_until > until, jobs.c.lock_until), else_=until)
    # By keys, and joined with nothing: MariaDB would join all rows of a short table, and wait for
    # those that others hold.
    mine = (jobs.c.seq.in_(seqs), jobs.c.locked_by.is_not(None))
    return update(jobs).where(*mine).values(lock_until=longer)


def _is_held(job: Job, row: Any) -> bool:
    return row is not None and row.lease == job.lease and row.locked_by is not None


def _extension(job: Job, row: Any, *, skipped: bool = False) -> Extension:
    if not _is_held(job, row):
        return Extension(job.id, job.lease, None)
    return Extension(job.id, job.lease, row.lock_until, row.cancelled_at is not None, skipped)


def _extended(job: Job, row: Any, until: datetime) -> Extension:
    longer = max(until, row.lock_until or until)
    return Extension(job.id, job.lease, longer, row.cancelled_at is not None)


def release_lock(tx: Tx, queue: str, job_id: str, *, lease: int | None = None) -> None:
    """Clear lock and owner, whatever the state."""
    check_names(queue=queue, job_id=job_id)
    jobs = tx.tables.jobs
    statement = (
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.queue_name == queue)
        .values(lock_until=null(), locked_by=null())
    )
    if lease is None:
        tx.conn.execute(statement)
        return
    held = statement.where(jobs.c.lease == lease, jobs.c.locked_by.is_not(None))
    if tx.conn.execute(held).rowcount == 0:
        raise lease_lost(tx, queue, job_id, lease)


def expired(tx: Tx, queue: str, limit: int) -> Select[Any]:
    """Select active jobs whose lock ran out, oldest lock first."""
    jobs = tx.tables.jobs
    return (
        select(*job_columns(jobs))
        .where(
            jobs.c.queue_name == queue,
            jobs.c.state == STATES[JobState.ACTIVE],
            jobs.c.lock_until < tx.now(),
        )
        .order_by(jobs.c.lock_until)
        .limit(limit)
    )


def get_stalled_jobs(
    tx: Tx, queue: str, threshold: timedelta = timedelta(0), *, limit: int = 1000
) -> list[Job]:
    """Return active jobs whose lock ran out; `threshold` is there for upstream's callers."""
    check_names(queue=queue)
    check_count("limit", limit)
    return jobs_from_rows(tx, _in_turn(tx.conn.execute(expired(tx, queue, limit))))


def _in_turn(rows: Iterable[Any]) -> list[Any]:
    """Sort jobs whose lock ran out: of those that were extended together, the older comes first.

    Not in the statement: no index has this order.
    """
    return sorted(rows, key=lambda row: (row.lock_until, row.seq))


def recover_lost(tx: Tx, queue: str, *, limit: int = 100, max_lost: int = 3) -> list[Recovered]:
    """Take back jobs whose lock ran out: waiting again, or failed when lost too often."""
    check_names(queue=queue)
    check_count("limit", limit, least=1)
    check_count("max_lost", max_lost)
    tx.begin()
    rows = _in_turn(tx.conn.execute(tx.dialect.lock_rows(expired(tx, queue, limit))))
    taken = [row for row in rows if _take_back(tx, row, max_lost)]
    if taken:
        rouse(tx, queue)
        report(tx, queue, [row.id for row in taken])
    dead = [row for row in taken if row.lost_count >= max_lost]
    tallies.add(tx, queue, JobState.FAILED, len(dead))
    metrics.record(tx, queue, [row.seq for row in dead])
    flows.tell(tx, [flows.Child.of(row, _reason(row.lost_count + 1)) for row in dead])
    retention.keep(tx, queue, [(job_from_row(row), JobState.FAILED) for row in dead])
    return [
        Recovered(
            job_id=row.id,
            queue_name=queue,
            state=JobState.FAILED if row.lost_count >= max_lost else JobState.WAITING,
            lease=row.lease,
            lost_count=row.lost_count + 1,
            worker_id=row.locked_by,
        )
        for row in taken
    ]


def _take_back(tx: Tx, row: Any, max_lost: int) -> bool:
    """Take one job back if its lease is still the one that ran out."""
    jobs = tx.tables.jobs
    values: dict[str, Any] = {
        "state": STATES[JobState.WAITING],
        "lost_count": jobs.c.lost_count + 1,
        "lock_until": null(),
        "locked_by": null(),
    }
    if row.lost_count >= max_lost:
        values |= {
            "state": STATES[JobState.FAILED],
            "failed_at": tx.now(),
            "failed_reason": _reason(row.lost_count + 1),
            "dedup_slot": null(),
        }
    guard = (jobs.c.seq == row.seq, jobs.c.lease == row.lease, jobs.c.lock_until < tx.now())
    return tx.conn.execute(update(jobs).where(*guard).values(values)).rowcount == 1


def _reason(times: int) -> str:
    return f"worker lost {times} times"
