"""How long finished jobs are kept."""

from __future__ import annotations

import heapq
from datetime import timedelta

from oqron_sql.contract.checks import check_count
from oqron_sql.contract.model import JobState
from oqron_sql.memory.changing import delete
from oqron_sql.memory.data import QueueData, Record
from oqron_sql.memory.operation import Operation


def keep(op: Operation, record: Record) -> None:
    """Delete a job that has just ended, or one it displaces, or note when it is to go."""
    opts, state = record.job.opts, record.job.state
    kept = opts.remove_on_complete if state is JobState.COMPLETED else opts.remove_on_fail
    queue = op.queue(record.job.queue_name)
    if kept is True:
        delete(op, record)
    elif isinstance(kept, timedelta):
        due = op.after("retention", kept)
        heapq.heappush(queue.expiries, (due, record.seq, record.job.lease, state))
    elif kept is not False:
        _displace(op, queue, record, kept)


def remove_expired(op: Operation, queue: str, *, limit: int = 1000) -> int:
    """Delete finished jobs whose time is over, those first that were over first."""
    check_count("limit", limit, least=1)
    gone = 0
    while gone < limit and (record := expired(op, op.queue(queue))) is not None:
        delete(op, record)
        gone += 1
    return gone


def expired(op: Operation, queue: QueueData) -> Record | None:
    """Return the finished job whose time was over first, or None."""
    while queue.expiries and queue.expiries[0][0] < op.now:
        _, seq, lease, state = queue.expiries[0]
        record = queue.states[state].get(seq)
        if record is not None and record.job.lease == lease:
            return record
        heapq.heappop(queue.expiries)  # it was removed or retried meanwhile
    return None


def _displace(op: Operation, queue: QueueData, record: Record, most: int) -> None:
    """Keep `record` as the newest of those that are kept as one of so many."""
    state = record.job.state
    line = queue.kept.setdefault((state, most), {})
    line.pop(record.seq, None)
    line[record.seq] = record.job.lease
    ended = queue.states[state]
    held = [seq for seq, lease in line.items() if seq in ended and ended[seq].job.lease == lease]
    for seq in held[: max(0, len(held) - most)]:
        del line[seq]
        delete(op, ended[seq])
