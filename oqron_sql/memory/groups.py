"""Counts per group."""

from __future__ import annotations

from oqron_sql.contract.model import JobState
from oqron_sql.memory.operation import Operation


def get_group_active_count(op: Operation, queue: str, group_id: str) -> int:
    """Count the active jobs of a group."""
    return _count(op, queue, group_id, JobState.ACTIVE)


def get_waiting_group_count(op: Operation, queue: str, group_id: str) -> int:
    """Count the waiting jobs of a group."""
    return _count(op, queue, group_id, JobState.WAITING)


def _count(op: Operation, queue: str, group_id: str, state: JobState) -> int:
    return sum(r.job.group_id == group_id for r in op.queue(queue).states[state].values())
