"""What the tests of schedules do: put some, fire them, and see what is stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from oqron_sql.contract import AsyncStore, Fired, Job, JobState, Repeat, Schedule
from oqron_sql.testing.steps import HOUR, QUEUE


def schedule(key: str = "key", queue: str = QUEUE, **members: Any) -> Schedule:
    """Return a schedule that was not put yet, every hour unless `repeat` says otherwise."""
    given: dict[str, Any] = {"name": "job", "repeat": Repeat(every=HOUR), **members}
    return Schedule(queue_name=queue, key=key, **given)


async def put(store: AsyncStore, *keys: str, **members: Any) -> list[Schedule]:
    """Put a schedule of each key, by default of one; return what is stored."""
    made = [schedule(key, **members) for key in keys or ("key",)]
    return [await store.put_schedule(each.queue_name, each) for each in made]


async def waiting(store: AsyncStore, queue: str = QUEUE) -> list[Job]:
    """Return the jobs that wait."""
    return await store.list_jobs(queue, JobState.WAITING, 0, 1000)


async def fired(store: AsyncStore, **how: Any) -> list[Fired]:
    """Fire until nothing is due."""
    found: list[Fired] = []
    while some := await store.fire_schedules(QUEUE, **how):
        found += some
    return found


async def stored(store: AsyncStore, key: str = "key") -> Schedule:
    """Return a schedule that must be there."""
    found = await store.get_schedule(QUEUE, key)
    assert found is not None
    return found


def slots_of(made: Schedule, *numbers: int) -> list[datetime]:
    """Return slots of an hourly schedule, counted from its anchor."""
    assert made.anchor is not None
    return [made.anchor + number * HOUR for number in numbers]
