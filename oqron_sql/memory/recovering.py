"""Jobs whose worker was lost."""

from __future__ import annotations

import heapq
from datetime import timedelta

from oqron_sql.contract.checks import check_count
from oqron_sql.contract.model import Job, JobState, Recovered
from oqron_sql.memory import metering, records, retention
from oqron_sql.memory.changing import change
from oqron_sql.memory.data import Record
from oqron_sql.memory.operation import Operation
from oqron_sql.memory.parents import tell_parents


def recover_lost(
    op: Operation, queue: str, *, limit: int = 100, max_lost: int = 3
) -> list[Recovered]:
    """Take back jobs whose lock ran out, oldest lock first."""
    check_count("limit", limit, least=1)
    check_count("max_lost", max_lost)
    stalled = _stalled(op, queue, limit)
    taken = [_recover(op, record, max_lost) for record in stalled]
    dead = [record for record in stalled if record.job.lost_count > max_lost]
    # Once all are taken back: a parent may be among them.
    tell_parents(op, [(record, record.job.failed_reason) for record in dead])
    for record in dead:
        if op.find(queue, record.job.id) is record:
            retention.keep(op, record)
    return taken


def get_stalled_jobs(
    op: Operation,
    queue: str,
    threshold: timedelta = timedelta(0),
    *,
    limit: int = 1000,
) -> list[Job]:
    """Return active jobs whose lock ran out, oldest lock first."""
    return records.read_all(_stalled(op, queue, check_count("limit", limit)))


def _stalled(op: Operation, queue: str, limit: int) -> list[Record]:
    locks = (
        (record.job.lock_until, record.seq, record)
        for record in op.queue(queue).states[JobState.ACTIVE].values()
        if record.job.lock_until is not None and record.job.lock_until < op.now
    )
    return [record for _, _, record in heapq.nsmallest(limit, locks)]


def _recover(op: Operation, record: Record, max_lost: int) -> Recovered:
    job = record.job
    worker, lost = job.locked_by, job.lost_count + 1
    if lost <= max_lost:
        change(op, record, state=JobState.WAITING, lost_count=lost)
    else:
        change(
            op,
            record,
            state=JobState.FAILED,
            lost_count=lost,
            failed_reason=f"worker lost {lost} times",
            failed_at=op.now,
        )
        metering.note_end(op, record)
    return Recovered(job.id, job.queue_name, job.state, job.lease, lost, worker)
