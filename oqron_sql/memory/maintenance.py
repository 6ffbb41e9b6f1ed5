"""Cleaning up."""

from __future__ import annotations

import heapq
from datetime import datetime, timedelta

from oqron_sql.contract.checks import check_count, check_duration
from oqron_sql.contract.model import FINISHED, Job, JobState
from oqron_sql.errors import InvalidInput, QueueActive
from oqron_sql.memory.changing import NO_LOCK, change
from oqron_sql.memory.members import check_state
from oqron_sql.memory.operation import Operation
from oqron_sql.memory.parents import remove_all, tell_parents
from oqron_sql.memory.records import NULL

DRAINED = (JobState.WAITING, JobState.DELAYED, JobState.WAITING_CHILDREN)


def clean(
    op: Operation, queue: str, state: JobState, grace: timedelta, *, limit: int | None = None
) -> int:
    """Delete jobs in a state that are older than `grace`, the oldest first, until none is left."""
    check_duration("grace", grace)
    state = check_state("state", state)
    if limit is not None:
        check_count("limit", limit)
    total = 0
    while limit is None or total < limit:
        gone = _clean_step(op, queue, state, grace, None if limit is None else limit - total)
        if not gone:  # it may have been the last one that a parent waited for
            break
        total += gone
    return total


def _clean_step(
    op: Operation, queue: str, state: JobState, grace: timedelta, limit: int | None
) -> int:
    old = [
        (since, record.seq, record)
        for record in op.queue(queue).states[state].values()
        if (since := _since(record.job)) is not None and op.now - since > grace
    ]
    if limit is not None:
        old = heapq.nsmallest(limit, old)
    return remove_all(op, [record for _, _, record in old])


def drain(op: Operation, queue: str) -> None:
    """Delete all jobs that have not begun."""
    states = op.queue(queue).states
    remove_all(op, [record for state in DRAINED for record in states[state].values()])


def obliterate(op: Operation, queue: str, *, force: bool = False) -> None:
    """Delete everything about the queue."""
    active = len(op.queue(queue).states[JobState.ACTIVE])
    if active and not force:
        raise QueueActive(queue, active)
    gone = op.data.queues.pop(queue, None)
    tell_parents(op, [(record, None) for record in (gone.jobs.values() if gone else ())])


def retry_jobs(op: Operation, queue: str, state: JobState) -> int:
    """Make all failed (or completed) jobs waiting as if never run."""
    state = check_state("state", state)
    if state not in FINISHED:
        raise InvalidInput("state", state, "must be failed or completed")
    # The first to be saved gets a deduplication slot that several ask for.
    finished = [record for _, record in sorted(op.queue(queue).states[state].items())]
    for record in finished:
        record.returnvalue = NULL
        change(
            op,
            record,
            state=JobState.WAITING,
            attempts_made=0,
            lost_count=0,
            progress=0,
            failed_reason=None,
            stacktrace=(),
            processed_at=None,
            completed_at=None,
            failed_at=None,
            cancelled_at=None,
            delay_until=None,
            discarded=False,
            **NO_LOCK,
        )
    return len(finished)


def _since(job: Job) -> datetime | None:
    if job.state is JobState.COMPLETED:
        return job.completed_at
    if job.state is JobState.FAILED:
        return job.failed_at
    return job.created_at
