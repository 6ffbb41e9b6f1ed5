"""How jobs are filed, moved and deleted: order, lock and deduplication slot follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from oqron_sql.contract.model import LIVE, JobState
from oqron_sql.errors import GroupFull
from oqron_sql.memory.data import QueueData, Record
from oqron_sql.memory.operation import Operation

NO_LOCK: dict[str, Any] = {"locked_by": None, "lock_until": None}


def file_all(op: Operation, records: Sequence[Record]) -> list[str]:
    """Keep prepared records; return their ids, or those of the jobs that stand for them.

    Raises:
        GroupFull: too many jobs of a group would wait; nothing was kept.
    """
    _demand_room(op, records)
    return [_file(op, record) for record in records]


def _demand_room(op: Operation, records: Sequence[Record]) -> None:
    coming = Counter[tuple[str, str]]()
    for record in records:
        job, group = record.job, record.job.opts.group
        if group is None or group.max_size is None or job.state is not JobState.WAITING:
            continue
        queue = op.queue(job.queue_name)
        key = job.deduplication_key
        if job.id in queue.jobs or (key is not None and queue.holder(key, op.now)):
            continue
        coming[job.queue_name, group.id] += 1
        waiting = sum(r.job.group_id == group.id for r in queue.states[JobState.WAITING].values())
        if waiting + coming[job.queue_name, group.id] > group.max_size:
            raise GroupFull(job.queue_name, group.id, group.max_size)


def _file(op: Operation, record: Record) -> str:
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
