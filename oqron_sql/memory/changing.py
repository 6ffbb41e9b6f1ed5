"""How jobs are filed, moved and deleted: order, lock and deduplication slot follow."""

from __future__ import annotations

from typing import Any

from oqron_sql.contract.model import LIVE, JobState
from oqron_sql.memory.data import QueueData, Record
from oqron_sql.memory.operation import Operation

NO_LOCK: dict[str, Any] = {"locked_by": None, "lock_until": None}


def file(op: Operation, record: Record) -> str:
    """Keep a prepared record and return its id, or that of the job that stands for it."""
    job = record.job
    queue = op.open_queue(job.queue_name)
    # The id comes before the key: a repeated save must find its own job, whoever has the key now.
    if job.id in queue.jobs:
        return job.id
    key = job.deduplication_key
    if key is not None:
        holder = queue.holder(key, op.now)
        if holder is not None:
            return holder.job.id
        if job.state in LIVE:
            queue.slots[key] = record
    record.seq = job.seq = op.data.next_seq()
    queue.jobs[job.id] = record
    queue.index(record)
    return job.id


def change(op: Operation, record: Record, **members: Any) -> None:
    """Write members of a stored job.

    A job that leaves `active` loses its lock, unless `members` say otherwise. One that ends loses
    its deduplication slot; one that comes back to life, or has a new key, takes a free slot.
    """
    job = record.job
    queue = op.queue(job.queue_name)
    before, key = job.state, job.deduplication_key
    queue.unindex(record)
    for name, value in members.items():
        setattr(job, name, value)
    queue.index(record)
    if before is JobState.ACTIVE and job.state is not JobState.ACTIVE:
        for name in NO_LOCK.keys() - members.keys():
            setattr(job, name, None)
    lives = job.state in LIVE
    if not lives or job.deduplication_key != key:
        _free_slot(queue, record, key)
    if lives and (before not in LIVE or job.deduplication_key != key):
        _take_slot(op, queue, record)


def delete(op: Operation, record: Record) -> None:
    """Forget a stored job; nobody is told."""
    queue = op.queue(record.job.queue_name)
    queue.unindex(record)
    del queue.jobs[record.job.id]
    _free_slot(queue, record, record.job.deduplication_key)


def _free_slot(queue: QueueData, record: Record, key: str | None) -> None:
    if key is not None and queue.slots.get(key) is record:
        del queue.slots[key]


def _take_slot(op: Operation, queue: QueueData, record: Record) -> None:
    key = record.job.deduplication_key
    if key is not None and queue.holder(key, op.now) is None:
        queue.slots[key] = record
