"""Series of jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime

from oqron_sql.contract import codec
from oqron_sql.contract import schedules as series
from oqron_sql.contract.checks import check_count, check_name, check_names, check_own_queue
from oqron_sql.contract.schedules import Fired, Schedule
from oqron_sql.memory import changing, records
from oqron_sql.memory.operation import Operation


def put_schedule(op: Operation, queue: str, schedule: Schedule) -> Schedule:
    """Begin a series, or let the one with this key go on as told."""
    check_own_queue(queue, schedule.queue_name)
    given = dataclasses.replace(schedule, data=codec.dumps(schedule.data, op.max_payload))
    kept = op.open_queue(queue).schedules
    known = kept.get(schedule.key)
    made = series.begun(given, op.now) if known is None else series.renewed(known, given, op.now)
    kept[schedule.key] = made
    return _read(made)


def get_schedule(op: Operation, queue: str, key: str) -> Schedule | None:
    """Return the schedule, or None."""
    check_names(queue=queue, key=key)
    known = op.queue(queue).schedules.get(key)
    return None if known is None else _read(known)


def list_schedules(
    op: Operation, queue: str | None = None, start: int = 0, end: int = 100
) -> list[Schedule]:
    """Return a slice of the schedules, by queue and key."""
    check_count("start", start)
    names = op.data.queues if queue is None else [check_name("queue", queue)]
    found = [each for name in sorted(names) for _, each in sorted(op.queue(name).schedules.items())]
    return [_read(each) for each in found[start : max(start, end)]]


def pause_schedule(op: Operation, queue: str, key: str) -> bool:
    """Fire no more slots of the series."""
    return _change(op, queue, key, lambda known: known if known.paused else series.held(known))


def resume_schedule(op: Operation, queue: str, key: str) -> bool:
    """Go on with the first slot from now on."""
    return _change(
        op, queue, key, lambda known: series.resumed(known, op.now) if known.paused else known
    )


def remove_schedule(op: Operation, queue: str, key: str) -> bool:
    """End the series."""
    check_names(queue=queue, key=key)
    return op.queue(queue).schedules.pop(key, None) is not None


def fire_schedules(op: Operation, queue: str, *, limit: int = 100) -> list[Fired]:
    """Save the jobs of slots that are due, and move their series on."""
    check_name("queue", queue)
    room = check_count("limit", limit, least=1)
    kept = op.queue(queue).schedules
    due = [each for each in kept.values() if each.next_slot and each.next_slot <= op.now]
    fired: list[Fired] = []
    for known in sorted(due, key=lambda each: (each.next_slot, each.key)):
        if len(fired) == room:
            break
        slots, done = series.turned(known, op.now, room - len(fired))
        jobs = [series.job_at(_read(known), slot) for slot in slots]
        ids = changing.file_all(op, [records.prepare(op, queue, job) for job in jobs])
        fired += [Fired(known.key, slot, id_) for slot, id_ in zip(slots, ids, strict=True)]
        kept[known.key] = done
    return fired


def next_slot(op: Operation, queue: str) -> datetime | None:
    """Return when the next slot of the queue is due, or None."""
    kept = op.queue(queue).schedules.values()
    return min((each.next_slot for each in kept if each.next_slot), default=None)


def _change(op: Operation, queue: str, key: str, change: Callable[[Schedule], Schedule]) -> bool:
    check_names(queue=queue, key=key)
    kept = op.queue(queue).schedules
    if key not in kept:
        return False
    kept[key] = change(kept[key])
    return True


def _read(kept: Schedule) -> Schedule:
    """Return a schedule with its data, which is kept as JSON and shared with nobody."""
    return dataclasses.replace(kept, data=codec.loads(kept.data))
