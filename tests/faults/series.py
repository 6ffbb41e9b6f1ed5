"""Schedules are put, and fired by those who run no jobs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

from oqron_sql.contract import Repeat, Schedule
from oqron_sql.runtime import Scheduler
from tests.faults.acting import Spec, pause, persist, stopping, store_of

SERIES, SHORT, SLOT = 6, 3, timedelta(seconds=1)
"""How many schedules there are, how many slots the first has in all, and how far apart they are."""


async def put(spec: Spec) -> None:
    """Put the same schedules again and again, as every process does after a deploy."""
    store, rng = store_of(spec), random.Random(spec["seed"])
    with stopping() as told:
        if not await persist(told, store.connect):
            return
        while not told.is_set():
            for each in series(spec):
                await persist(told, lambda: store.put_schedule(each.queue_name, each))  # noqa: B023 - awaited at once
            await pause(told, rng.uniform(0.2, 1))
        await store.disconnect()


def series(spec: Spec) -> Iterator[Schedule]:
    """Go through the schedules: a slot a second, half of them by the clock on the wall."""
    for n in range(SERIES):
        when = {"cron": "* * * * * *"} if n % 2 else {"every": SLOT}
        yield Schedule(
            queue_name=spec["queue"],
            key=f"series-{n}",
            name="work",
            data={"fails": 0, "home": f"{spec['prefix']}/{spec['queue']}"},
            repeat=Repeat(**when, limit=None if n else SHORT),
            catchup="all",
        )


async def fire(spec: Spec) -> None:
    """Fire schedules and run no jobs."""
    store = store_of(spec)
    with stopping() as told:
        if not await persist(told, store.connect):
            return
    if not told.is_set():
        await Scheduler(spec["queue"], store).run()
    await store.disconnect()
