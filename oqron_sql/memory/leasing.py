"""Handing jobs to workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from oqron_sql.contract.checks import (
    check_count,
    check_duration,
    check_list,
    check_name,
    check_own_queue,
)
from oqron_sql.contract.model import Extension, Job, JobState
from oqron_sql.contract.options import ANY, FetchOptions, RateLimit
from oqron_sql.memory import records, turns
from oqron_sql.memory.changing import NO_LOCK, change
from oqron_sql.memory.data import QueueData, Record
from oqron_sql.memory.holding import demand_lease, find_leased, is_held
from oqron_sql.memory.operation import Operation


def fetch_next_job(
    op: Operation, queue: str, worker_id: str, lock_duration: timedelta, opts: FetchOptions = ANY
) -> Job | None:
    """Lease the next waiting job."""
    leased = fetch_jobs(op, queue, worker_id, lock_duration, 1, opts)
    return leased[0] if leased else None


def fetch_jobs(
    op: Operation,
    queue: str,
    worker_id: str,
    lock_duration: timedelta,
    n: int,
    opts: FetchOptions = ANY,
) -> list[Job]:
    """Lease up to `n` waiting jobs, best first."""
    check_name("queue", queue)
    check_name("worker_id", worker_id)
    check_count("n", n)
    until = op.after("lock_duration", check_duration("lock_duration", lock_duration))
    state = op.queue(queue)
    room = min(n, _room(op, state, opts))
    if state.paused or room <= 0:
        return []
    leased = list(_choose(state, room, opts))
    for record in leased:
        change(
            op,
            record,
            state=JobState.ACTIVE,
            lease=record.job.lease + 1,
            locked_by=worker_id,
            lock_until=until,
            processed_at=op.now,
        )
    if opts.rate_limit:
        state.leases_taken[opts.rate_limit.duration].extend([op.now] * len(leased))
    return records.read_all(leased)


def extend_lock(
    op: Operation, queue: str, job_id: str, duration: timedelta, *, lease: int | None = None
) -> bool:
    """Let the lock of an active job end at now + `duration`."""
    until = op.after("duration", check_duration("duration", duration))
    record = op.find(queue, job_id)
    if lease is not None:
        demand_lease(record, queue, job_id, lease)
    if record is None or record.job.state is not JobState.ACTIVE:
        return False
    record.job.lock_until = until
    return True


def extend_locks(
    op: Operation, queue: str, jobs: Sequence[Job], duration: timedelta
) -> list[Extension]:
    """Extend many leases; says of each whether it was lost or cancelled."""
    until = op.after("duration", check_duration("duration", duration))
    for job in check_list("jobs", jobs):
        check_own_queue(queue, job.queue_name)
    return [_extend(op, queue, job, until) for job in jobs]


def check_locks(op: Operation, queue: str, jobs: Sequence[Job]) -> list[Extension]:
    """Say of many leases what extending them would."""
    for job in check_list("jobs", jobs):
        check_own_queue(queue, job.queue_name)
    return [_state_of(op, queue, job) for job in jobs]


def release_lock(op: Operation, queue: str, job_id: str, *, lease: int | None = None) -> None:
    """Clear lock and owner in any state."""
    record = op.find(queue, job_id)
    if lease is not None:
        demand_lease(record, queue, job_id, lease)
    if record is not None:
        change(op, record, **NO_LOCK)


def _choose(queue: QueueData, n: int, opts: FetchOptions) -> Iterator[Record]:
    may_run = (r for r in queue.waiting(lifo=opts.lifo) if turns.is_wanted(queue, r, opts))
    return turns.take_turns(queue, may_run, n, opts) if opts.grouped else islice(may_run, n)


def _extend(op: Operation, queue: str, job: Job, until: datetime) -> Extension:
    record = find_leased(op, queue, job)
    if record is not None and is_held(record, job.lease):
        record.job.lock_until = max(until, record.job.lock_until or until)
    return _state_of(op, queue, job)


def _state_of(op: Operation, queue: str, job: Job) -> Extension:
    record = find_leased(op, queue, job)
    if record is None or not is_held(record, job.lease):
        return Extension(job.id, job.lease, None)
    return Extension(job.id, job.lease, record.job.lock_until, record.job.cancelled_at is not None)


def _room(op: Operation, queue: QueueData, opts: FetchOptions) -> int:
    """Return how many leases the whole queue's bounds leave."""
    room = len(queue.states[JobState.WAITING])
    if opts.max_active is not None:
        room = min(room, opts.max_active - len(queue.states[JobState.ACTIVE]))
    if opts.rate_limit is not None:
        room = min(room, opts.rate_limit.max - len(_recent(op, queue, opts.rate_limit)))
    return room


def _recent(op: Operation, queue: QueueData, limit: RateLimit) -> deque[datetime]:
    """Return the leases taken under this limit's duration that still count."""
    taken = queue.leases_taken.setdefault(limit.duration, deque())
    while taken and op.now - taken[0] >= limit.duration:
        taken.popleft()
    return taken
