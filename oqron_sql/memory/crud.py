"""Single jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oqron_sql.contract import codec
from oqron_sql.contract.checks import check_list, check_name
from oqron_sql.contract.events import EventType, StoreEvent
from oqron_sql.contract.model import CANCELLED, FINISHED, Job, JobState, JobUpdate
from oqron_sql.errors import InvalidJobState, JobNotFound
from oqron_sql.memory import changing, members, metering, parents, records
from oqron_sql.memory.data import Record
from oqron_sql.memory.holding import demand_lease
from oqron_sql.memory.operation import Operation


def save_job(op: Operation, queue: str, job: Job) -> str:
    """Save a job; return its id or that of the job that stands for it."""
    return save_bulk(op, queue, [job])[0]


def save_bulk(op: Operation, queue: str, jobs: Sequence[Job]) -> list[str]:
    """Save all or none of the jobs."""
    check_name("queue", queue)
    prepared = [records.prepare(op, queue, job) for job in check_list("jobs", jobs)]
    return changing.file_all(op, prepared)


def get_job(op: Operation, queue: str, job_id: str) -> Job | None:
    """Return a copy of the job, or None."""
    record = op.find(queue, job_id)
    return records.read(record) if record else None


def find_job_by_id(op: Operation, job_id: str) -> Job | None:
    """Return the job of that id in any queue, or None."""
    found = (queue.jobs.get(job_id) for queue in op.data.queues.values())
    return next((records.read(record) for record in found if record), None)


def find_by_deduplication_key(op: Operation, queue: str, key: str) -> Job | None:
    """Return the job that holds the key, or None."""
    holder = op.queue(queue).holder(key, op.now)
    return records.read(holder) if holder else None


def update_job(
    op: Operation,
    queue: str,
    job_id: str,
    updates: JobUpdate,
    *,
    expected_state: JobState | Sequence[JobState] | None = None,
    lease: int | None = None,
) -> None:
    """Write the given members, if the conditions hold."""
    values = members.check_updates(updates)
    texts = {
        name: codec.dumps(updates[name], op.max_payload)
        for name in ("data", "returnvalue")
        if name in updates
    }
    record = op.find(queue, job_id)
    if lease is not None:
        demand_lease(record, queue, job_id, lease)
    if expected_state is not None:
        _demand_state(record, job_id, expected_state)
    if record is None:
        return
    before = record.job.state
    changed = values | _instants(op, record, values) | _owner(record, values)
    changing.change(op, record, **changed)
    for name, text in texts.items():
        setattr(record, name, text)
    if record.job.state in FINISHED and record.job.state is not before:
        metering.note_end(op, record)


def append_logs(
    op: Operation, queue: str, job_id: str, lines: Sequence[str], *, lease: int | None = None
) -> None:
    """Add lines to the job's log."""
    sound = members.CHECKS["logs"]("lines", lines)
    record = op.find(queue, job_id)
    if lease is not None:
        demand_lease(record, queue, job_id, lease)
    if record is None:
        raise JobNotFound(queue, job_id)
    record.job.logs = (*record.job.logs, *sound)


def remove_job(op: Operation, queue: str, job_id: str) -> None:
    """Delete the job; its parent no longer waits for it."""
    record = op.find(queue, job_id)
    if record is not None:
        parents.remove_all(op, [record])


def cancel_job(op: Operation, queue: str, job_id: str, *, unstarted: bool = False) -> bool:
    """Mark an active job as cancelled, or end one that has not begun, and tell so."""
    record = op.find(queue, job_id)
    if record is None or record.job.state in FINISHED:
        return False
    if record.job.state is not JobState.ACTIVE:
        if not unstarted:
            return False
        _end_unstarted(op, record)
    record.job.cancelled_at = op.now
    op.events.append(
        StoreEvent(type=EventType.JOB_CANCELLED, queue_name=queue, job_id=job_id, timestamp=op.now)
    )
    return True


def _end_unstarted(op: Operation, record: Record) -> None:
    changing.change(
        op,
        record,
        state=JobState.FAILED,
        failed_reason=CANCELLED,
        failed_at=op.now,
        delay_until=None,
        **changing.NO_LOCK,
    )
    metering.note_end(op, record)
    parents.tell_parents(op, [(record, CANCELLED)])


def _demand_state(
    record: Record | None, job_id: str, expected: JobState | Sequence[JobState]
) -> None:
    given = [expected] if isinstance(expected, str) else expected
    states = [members.check_state("expected_state", state) for state in given]
    if record is None or record.job.state not in states:
        raise InvalidJobState(job_id, record.job.state if record else "unknown", states)


def _owner(record: Record, values: dict[str, Any]) -> dict[str, Any]:
    """Return what an owner that is given brings with it: a lease that was given up stays lost."""
    job = record.job
    if values.get("locked_by") is None:
        return {}
    if values.get("state", job.state) is not JobState.ACTIVE:
        return {"locked_by": None}
    held = job.state is JobState.ACTIVE and job.locked_by is not None
    return {} if held else {"lease": job.lease + 1}


def _instants(op: Operation, record: Record, values: dict[str, Any]) -> dict[str, Any]:
    """Return the instants that the new state needs and the update does not give."""
    job = record.job
    state = values.get("state", job.state)
    if state is JobState.DELAYED:
        due = values.get("delay_until", job.delay_until)
        return {"delay_until": op.now} if due is None else {}
    if state in FINISHED and state is not job.state and records.ENDED_AT[state] not in values:
        return {records.ENDED_AT[state]: op.now}
    return {}
