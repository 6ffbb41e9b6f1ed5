"""How the end or the removal of a child reaches its parent, and that one's parent, once each."""

from __future__ import annotations

from collections.abc import Iterable

from oqron_sql.contract import codec
from oqron_sql.contract.model import JobState
from oqron_sql.memory import metering
from oqron_sql.memory.changing import NO_LOCK, change, delete
from oqron_sql.memory.data import Record
from oqron_sql.memory.operation import Operation

MAY_FAIL = frozenset({JobState.WAITING_CHILDREN, JobState.WAITING})


Child = tuple[Record, str | None]
"""One that completed or is gone, or the reason why it failed."""


def tell_parents(op: Operation, children: Iterable[Child]) -> None:
    """Tell the parents of children, then theirs, all the way up: the nearer failure comes first."""
    level = list(children)
    while level:
        level.sort(
            key=lambda child: (child[0].job.parent_queue_name or "", child[0].job.parent_id or "")
        )
        level = [up for child in level if (up := _tell(op, *child)) is not None]


def count_child(op: Operation, parent: Record) -> None:
    """Let a parent that waits for children wait for one less."""
    if parent.job.state is not JobState.WAITING_CHILDREN:
        return
    left = max(0, parent.job.pending_children_count - 1)
    state = parent.job.state if left else JobState.WAITING
    change(op, parent, pending_children_count=left, state=state)


def fail_parent(op: Operation, parent: Record, reason: str) -> bool:
    """Fail a parent whose child failed; False, and nothing done, if it runs or has ended."""
    if parent.job.state not in MAY_FAIL:
        return False
    text = codec.clean_text(f"Child failed: {reason}")
    change(op, parent, state=JobState.FAILED, failed_reason=text, failed_at=op.now, **NO_LOCK)
    metering.note_end(op, parent)
    return True


def remove_all(op: Operation, records: Iterable[Record]) -> int:
    """Delete jobs and tell the parents that are left; return how many were deleted."""
    doomed = list(records)
    for record in doomed:
        delete(op, record)
    tell_parents(op, [(record, None) for record in doomed])
    return len(doomed)


def _tell(op: Operation, child: Record, failure: str | None) -> Child | None:
    """Tell one parent; return that parent and its failure if its own parent has to be told."""
    job = child.job
    if job.parent_queue_name is None or job.parent_id is None or child.parent_notified:
        return None
    child.parent_notified = True
    parent = op.find(job.parent_queue_name, job.parent_id)
    if parent is None:
        return None
    policy = parent.job.opts.fail_parent_on_child_failure
    if failure is None or policy == "ignore":
        count_child(op, parent)
    elif policy == "fail":
        if fail_parent(op, parent, failure):
            return parent, parent.job.failed_reason
    elif parent.job.state in MAY_FAIL:
        delete(op, parent)
        return parent, None
    return None
