"""Jobs that are not due yet."""

from __future__ import annotations

import heapq
from datetime import datetime

from oqron_sql.contract.checks import check_count
from oqron_sql.contract.model import JobState
from oqron_sql.memory.changing import change
from oqron_sql.memory.data import Record
from oqron_sql.memory.members import utc
from oqron_sql.memory.operation import Operation


def get_next_delayed_timestamp(op: Operation, queue: str) -> datetime | None:
    """Return when the next delayed job is due, or None."""
    return min((due for due, _, _ in _delayed(op, queue)), default=None)


def promote_delayed_jobs(
    op: Operation, queue: str, timestamp: datetime | None = None, *, limit: int | None = None
) -> int:
    """Make due jobs waiting, the earliest due first."""
    until = op.now if timestamp is None else utc("timestamp", timestamp)
    due = [entry for entry in _delayed(op, queue) if entry[0] <= until]
    if limit is not None:
        due = heapq.nsmallest(check_count("limit", limit), due)
    return _promote(op, [record for _, _, record in due])


def promote_jobs(op: Operation, queue: str) -> int:
    """Make every delayed job waiting."""
    return _promote(op, list(op.queue(queue).states[JobState.DELAYED].values()))


def _delayed(op: Operation, queue: str) -> list[tuple[datetime, int, Record]]:
    return [
        (record.job.delay_until, record.seq, record)
        for record in op.queue(queue).states[JobState.DELAYED].values()
        if record.job.delay_until is not None
    ]


def _promote(op: Operation, due: list[Record]) -> int:
    for record in due:
        change(op, record, state=JobState.WAITING, delay_until=None)
    return len(due)
