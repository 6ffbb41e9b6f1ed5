"""One process of a race: told to go, it says what it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

from oqron_sql import AsyncSQLStore, Complete, FetchOptions, JobOptions, new_job, new_worker_id
from oqron_sql.contract import Clock, Deduplication, Job, RateLimit
from tests.forked import READY, Wire

QUEUE = "race"
LEASE = timedelta(seconds=2)
LONG = timedelta(hours=1)
KEYS, CAP, RATE, MOST = 20, 2, 25, 7
SLOTS = 10


async def drain(store: AsyncSQLStore) -> AsyncIterator[Any]:
    """Fetch and finish until nothing is left."""
    worker = new_worker_id()
    while jobs := await store.fetch_jobs(QUEUE, worker, LONG, 5):
        yield [[job.id, job.lease] for job in jobs]
        settled = await store.finish_jobs(QUEUE, [Complete(job) for job in jobs])
        if any(one.lost for one in settled):
            raise AssertionError("a lease was lost that nobody took")


async def take(store: AsyncSQLStore, opts: FetchOptions) -> AsyncIterator[Any]:
    """Fetch under a limit until it says no; nothing is finished."""
    worker = new_worker_id()
    while jobs := await store.fetch_jobs(QUEUE, worker, LONG, 3, opts):
        yield [[job.id, job.group_id] for job in jobs]


async def save(store: AsyncSQLStore) -> AsyncIterator[Any]:
    """Save a job for each key; every process has the same keys."""
    for n in range(KEYS):
        opts = JobOptions(deduplication=Deduplication(key=f"key-{n}"))
        yield await store.save_job(QUEUE, new_job(QUEUE, "one", opts=opts))


async def fire(store: AsyncSQLStore) -> AsyncIterator[Any]:
    """Fire what is due with several schedulers, until nothing is."""

    async def schedule() -> list[str]:
        found: list[str] = []
        while some := await store.fire_schedules(QUEUE, limit=7):
            found += [one.job_id for one in some]
        return found

    for found in await asyncio.gather(*(schedule() for _ in range(3))):
        yield found


async def survive(store: AsyncSQLStore) -> AsyncIterator[Any]:
    """Work with short leases, taking back what others lost, until every job is completed."""
    worker = new_worker_id()
    while True:
        jobs: list[Job] = await store.fetch_jobs(QUEUE, worker, LEASE, 5)
        yield [[job.id, job.lease] for job in jobs]
        await store.finish_jobs(QUEUE, [Complete(job) for job in jobs])
        yield [one.job_id for one in await store.recover_lost(QUEUE)]
        counts = await store.get_job_counts(QUEUE)
        if not any(n for state, n in counts.items() if state != "completed"):
            return


ROLES: dict[str, Callable[[AsyncSQLStore], AsyncIterator[Any]]] = {
    "drain": drain,
    "save": save,
    "survive": survive,
    "fire": fire,
    "grouped": lambda store: take(store, FetchOptions(group_concurrency=CAP)),
    "capped": lambda store: take(store, FetchOptions(max_active=MOST)),
    "rated": lambda store: take(store, FetchOptions(rate_limit=RateLimit(max=RATE, duration=LONG))),
}


def race(wire: Wire, role: str, url: str) -> None:
    """Wait for the word to go, and play the role to its end."""
    asyncio.run(_race(wire, role, url))


async def _race(wire: Wire, role: str, url: str) -> None:
    clock = Clock(SLOTS * LONG if role == "fire" else timedelta(0))
    async with AsyncSQLStore(url, clock=clock) as store:
        wire.say(READY)
        await asyncio.to_thread(wire.hear)
        async for said in ROLES[role](store):
            wire.say(said)
