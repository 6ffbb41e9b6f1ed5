"""Before and after a run: the tables are made, work is waited for, and what became of it noted."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import redis

from oqron_sql import AsyncSQLStore, JobState
from oqron_sql.adapters.async_sql import AsyncSQLBroker
from oqron_sql.contract.schedules import slot_of
from oqron_sql.errors import StoreUnavailable
from oqron_sql.redis import AsyncRedisBroker, RedisConnection
from tests.faults.acting import on_redis
from tests.faults.history import Journal
from tests.faults.rules import ENDS
from tests.redis.invariant import violations

Home = tuple[str, str]


async def prepare(url: str, prefix: str) -> None:
    """Make the tables."""
    if not on_redis(url):
        async with AsyncSQLStore(url, prefix=prefix):
            pass


async def drained(url: str, home: Home, patience: float) -> bool:
    """Wait until every job and id has ended, and let no schedule make more; whether they have.

    It is given up when for so many seconds there were not fewer than before.
    """
    deadline, least = time.monotonic() + patience, math.inf
    async with counting(url, home) as left:
        while time.monotonic() < deadline:
            try:
                live = await left()
            except StoreUnavailable:
                continue
            if not live:
                return True
            if live < least:
                deadline, least = time.monotonic() + patience, live
            await asyncio.sleep(0.1)
    return False


@asynccontextmanager
async def counting(url: str, home: Home) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Open what tells how many jobs and ids there are that have not ended."""
    prefix, queue = home
    if on_redis(url):
        async with RedisConnection(url, prefix=prefix) as connection:
            broker = AsyncRedisBroker(connection)
            yield lambda: broker.size(queue)
        return

    async def left() -> int:
        for schedule in await store.list_schedules(queue):
            await store.pause_schedule(queue, schedule.key)
        counts = await store.get_job_counts(queue)
        live = sum(n for state, n in counts.items() if state not in ENDS)
        return live + await AsyncSQLBroker(store).size(queue)

    async with AsyncSQLStore(url, prefix=prefix) as store:
        yield left


async def note(url: str, home: Home, journal: Journal) -> None:
    """Write down what became of everything."""
    prefix, queue = home
    if on_redis(url):
        async with RedisConnection(url, prefix=prefix) as connection:
            journal.write("left", ids=await AsyncRedisBroker(connection).size(queue))
        with redis.Redis.from_url(url) as client:
            for problem in violations([client]):
                journal.write("torn", problem=problem)
        return
    async with AsyncSQLStore(url, prefix=prefix) as store:
        journal.write("left", ids=await AsyncSQLBroker(store).size(queue))
        for state in JobState:
            for job in await store.list_jobs(queue, state, 0, 1_000_000):
                result = {"result": job.returnvalue} if state is JobState.COMPLETED else {}
                facts = {"lease": job.lease, "lost": job.lost_count, **result}
                if slot := slot_of(job.id):
                    facts |= {"key": job.id.rpartition("@")[0], "slot": slot.timestamp()}
                journal.write("final", job=job.id, state=job.state, **facts)
        for schedule in await store.list_schedules(queue):
            assert schedule.anchor
            told = {"fired": schedule.fired, "limit": schedule.repeat.limit}
            journal.write("series", key=schedule.key, anchor=schedule.anchor.timestamp(), **told)
