"""How jobs are filed, moved and deleted: order, lock and deduplication slot follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from oqron_sql.contract.model import LIVE, Job, JobState
from oqron_sql.errors import GroupFull
from oqron_sql.memory.data import QueueData, Record
from oqron_sql.memory.operation import Operation
from oqron_sql.memory.records import attempts

NO_LOCK: dict[str, Any] = {"locked_by": None, "lock_until": None}


def file_all(op: Operation, records: Sequence[Record]) -> list[str]:
    """Keep prepared records; return their ids, or those of the jobs that stand for them.

    Raises:
        GroupFull: too many jobs of a group would wait; nothing was kept.
    """
    _demand_room(op, records)
    return [_file(op, record) for record in records]


def _demand_room(op: Operation, records: Sequence[Record]) -> None:
    bounds: dict[tuple[str, str], int] = {}
    coming = Counter[tuple[str, str]]()
    for job in (record.job for record in records):
        most = job.opts.group.max_size if job.opts.group else None
        if most is None or job.group_id is None or job.state is not JobState.WAITING:
            continue
        group = job.queue_name, job.group_id
        bounds[group] = min(most, bounds.get(group, most))
        coming[group] += not _stands_for(op.queue(job.queue_name), job, op.now)
    for (name, id_), most in sorted(bounds.items()):
        states = op.queue(name).states
        waiting = sum(r.job.group_id == id_ for r in states[JobState.WAITING].values())
        if coming[name, id_] and waiting + coming[name, id_] > most:
            raise GroupFull(name, id_, most)


def _stands_for(queue: QueueData, job: Job, now: datetime) -> bool:
    """Whether a job is there already that stands for this one."""
    key = job.deduplication_key
    return job.id in queue.jobs or (key is not None and queue.holder(key, now) is not None)


def _file(op: Operation, record: Record) -> str:
    job = record.job
    queue = op.open_queue(job.queue_name)
    # The id comes before the key: a repeated save must find its own job, whoever has the key now.
    if job.id in queue.jobs:
        return job.id
    key = job.deduplication_key
    if key is not None and job.state in LIVE:
        holder = queue.holder(key, op.now)
        if holder is not None:
            return holder.job.id
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
    if members.get("state", before) is not before:
        job.attempt_logs = attempts(job)
    queue.unindex(record)
    for name, value in members.items():
        setattr(job, name, value)
    queue.index(record)
    if before is JobState.ACTIVE and job.state is not JobState.ACTIVE:
        for name in NO_LOCK.keys() - members.keys():
            setattr(job, name, None)
    lives, rekeyed = job.state in LIVE, "deduplication_key" in members
    if not lives or rekeyed:
        _free_slot(queue, record, key)
    if lives and (before not in LIVE or rekeyed):
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
