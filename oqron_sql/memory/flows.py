"""Trees of jobs."""

from __future__ import annotations

from collections.abc import Sequence

from oqron_sql.contract.checks import check_count, check_list
from oqron_sql.contract.model import Job, JobState
from oqron_sql.memory import changing, parents, records
from oqron_sql.memory.data import Record
from oqron_sql.memory.members import check_state
from oqron_sql.memory.operation import Operation


def save_flow(op: Operation, jobs: Sequence[Job]) -> list[str]:
    """Save jobs of any queues, all or none."""
    check_list("jobs", jobs)
    prepared = [records.prepare(op, job.queue_name, job) for job in jobs]
    old = {(job.queue_name, job.id) for job in jobs if op.find(job.queue_name, job.id)}
    ids = changing.file_all(op, prepared)
    for job, saved in zip(jobs, ids, strict=True):
        if saved != job.id and job.parent_queue_name is not None and job.parent_id is not None:
            # Another job stands for this child and will not tell its parent. One that was there
            # before heard of it then: this flow is saved again.
            parent = op.find(job.parent_queue_name, job.parent_id)
            if parent is not None and (job.parent_queue_name, job.parent_id) not in old:
                parents.count_child(op, parent)
    return ids


def notify_child_completed(
    op: Operation, parent_queue: str, parent_id: str, *, child_id: str | None = None
) -> JobState:
    """Count one child of a waiting-children parent as done, a named one once."""
    parent = op.find(parent_queue, parent_id)
    if parent is None or parent.job.state is not JobState.WAITING_CHILDREN:
        return JobState.COMPLETED
    if child_id is None:
        parents.count_child(op, parent)
    else:
        for child in _children(op, parent_queue, parent_id):
            if child.job.id == child_id and not child.parent_notified:
                child.parent_notified = True
                parents.count_child(op, parent)
    return parent.job.state


def fail_parent_on_child_failure(
    op: Operation, parent_queue: str, parent_id: str, reason: str
) -> bool:
    """Fail a parent that is waiting or waiting for children, and tell its own parent."""
    parent = op.find(parent_queue, parent_id)
    if parent is None or not parents.fail_parent(op, parent, reason):
        return False
    parents.tell_parents(op, [(parent, parent.job.failed_reason)])
    return True


def get_children_jobs(op: Operation, parent_queue: str, parent_id: str) -> list[Job]:
    """Return the children, in any queue and state, oldest first."""
    return records.read_all(records.oldest_first(_children(op, parent_queue, parent_id)))


def list_flow_parents(op: Operation, state: JobState | None = None, limit: int = 100) -> list[Job]:
    """Return jobs that have children, newest first."""
    check_count("limit", limit)
    wanted = JobState if state is None else (check_state("state", state),)
    found = [r for r in op.records() if r.job.children_ids and r.job.state in wanted]
    return records.read_all(records.newest_first(found)[:limit])


def _children(op: Operation, parent_queue: str, parent_id: str) -> list[Record]:
    return [
        record
        for record in op.records()
        if record.job.parent_id == parent_id and record.job.parent_queue_name == parent_queue
    ]
