"""What the processes of a run do, until they are told to stop, or killed."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from oqron_sql import Context, FetchOptions, Job, JobOptions, Schedule, Worker, new_job
from oqron_sql.adapters.async_sql import AsyncSQLLock
from oqron_sql.contract import Backoff, Clock, Deduplication, Group, RateLimit, Repeat
from oqron_sql.contract.async_adapters import AsyncLock
from oqron_sql.errors import StoreUnavailable, UnsupportedDatabase
from oqron_sql.runtime import Scheduler
from tests.faults import bugs
from tests.faults.history import Journal, now
from tests.faults.recording import Doom, RecordedStore

QUEUE = "faults"
SERIES, SHORT, SLOT = 6, 3, timedelta(seconds=1)
"""How many schedules there are, how many slots the first has in all, and how far apart they are."""
Spec = dict[str, Any]


class Failure(Exception):
    """What handlers raise when a job is to fail."""


@contextmanager
def stopping() -> Iterator[asyncio.Event]:
    """Give an event that is set when the process is told to stop."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    yield told
    loop.remove_signal_handler(signal.SIGTERM)


async def persist(told: asyncio.Event, call: Callable[[], Awaitable[Any]]) -> bool:
    """Try until it succeeds; False if the process is told to stop before."""
    while True:
        try:
            await call()
        except (StoreUnavailable, UnsupportedDatabase):  # it may be read-only just now
            if told.is_set():
                return False
            await asyncio.sleep(0.05)
        else:
            return True


async def pause(told: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(told.wait(), seconds)
    except TimeoutError:
        return


def store_of(spec: Spec) -> RecordedStore:
    clock = Clock(timedelta(seconds=spec.get("offset", 0)))
    RecordedStore.journal = Journal(Path(spec["folder"]), spec["name"])
    RecordedStore.doom = Doom(*spec.get("doom", ()))
    RecordedStore.space = spec["prefix"]
    return RecordedStore(spec["url"], prefix=spec["prefix"], pooler=spec.get("pooler"), clock=clock)


async def enqueue(spec: Spec) -> None:
    """Save jobs one by one, and now and then a few at once, each until it is acknowledged."""
    store, rng = store_of(spec), random.Random(spec["seed"])
    with stopping() as told:
        if not await persist(told, store.connect):
            return
        for n in range(spec.get("jobs", 1_000_000)):
            if told.is_set():
                break
            size = 1 if rng.random() < 0.8 or spec.get("keys") else 5
            jobs = [make(spec, rng, n) for _ in range(size)]
            if rng.random() < spec.get("cancel", 0):
                await save_and_cancel(store, jobs, rng.uniform(0, 0.01))
            await persist(told, lambda: save(store, jobs))  # noqa: B023 - awaited at once
            await pause(told, rng.uniform(0, 2 * spec.get("pace", 0.02)))
        await store.disconnect()


async def save(store: RecordedStore, jobs: list[Job]) -> None:
    if len(jobs) == 1:
        await store.save_job(jobs[0].queue_name, jobs[0])
    else:
        await store.save_bulk(jobs[0].queue_name, jobs)


async def save_and_cancel(store: RecordedStore, jobs: list[Job], after: float) -> None:
    saving = asyncio.ensure_future(save(store, jobs))
    await asyncio.sleep(after)
    if saving.cancel():
        store.journal.write("cancelled")
    await asyncio.wait({saving})
    if not saving.cancelled():
        saving.exception()


def make(spec: Spec, rng: random.Random, n: int) -> Job:
    """Return a job as the spec wants it; some fail before they succeed."""
    queue = spec["queue"]
    fails = 0 if rng.random() < 0.9 or spec.get("plain") else rng.choice((1, 2, 3))
    group = f"group-{rng.randrange(spec['groups'])}" if spec.get("groups") else None
    key = f"key-{rng.randrange(spec['keys'])}" if spec.get("keys") else None
    opts = JobOptions(
        attempts=3,
        backoff=Backoff(delay=timedelta(seconds=0.02)),
        group=Group(id=group) if group else None,
        deduplication=Deduplication(key=key) if key else None,
    )
    data = {"n": n, "fails": fails, "home": f"{spec['prefix']}/{queue}"}
    return new_job(queue, "work", data, opts)


async def work(spec: Spec) -> None:
    """Run jobs by the worker of the runtime."""
    store, rng = store_of(spec), random.Random(spec["seed"])
    journal, doom = store.journal, RecordedStore.doom
    worker = Worker(
        spec["queue"],
        store,
        concurrency=spec.get("concurrency", 4),
        lease=spec.get("lease", 1.0),
        poll=0.1,
        prefetch=spec.get("prefetch", 10),
        max_lost=1000,
        limits=limits_of(spec),
        worker_id=spec.get("worker_id"),
    )

    @worker.handler()
    async def handle(context: Context[Any]) -> list[Any]:
        job = context.job
        journal.write("began", job=job.id, lease=job.lease, attempt=context.attempt)
        doom.pass_by("handler.before")
        await asyncio.sleep(rng.uniform(0, 2 * spec.get("seconds", 0.01)))
        if context.attempt <= job.data["fails"]:
            raise Failure("as it was told to")
        journal.write("ended", job=job.id, lease=job.lease)
        doom.pass_by("handler.after")
        return [job.id, job.lease]

    with stopping() as told:
        connected = await persist(told, store.connect)
    if not connected:
        return
    if not told.is_set():
        journal.write("working")
        await worker.run()
    await store.disconnect()
    journal.write("closed")


def limits_of(spec: Spec) -> FetchOptions:
    rate = spec.get("rate")
    return FetchOptions(
        group_concurrency=spec.get("group_cap"),
        max_active=spec.get("max_active"),
        rate_limit=RateLimit(max=rate[0], duration=timedelta(seconds=rate[1])) if rate else None,
    )


async def put(spec: Spec) -> None:
    """Put the same schedules again and again, as every process does after a deploy."""
    store, rng = store_of(spec), random.Random(spec["seed"])
    with stopping() as told:
        if not await persist(told, store.connect):
            return
        while not told.is_set():
            for schedule in series(spec):
                await persist(told, lambda: store.put_schedule(spec["queue"], schedule))  # noqa: B023 - awaited at once
            await pause(told, rng.uniform(0.2, 1))
        await store.disconnect()


def series(spec: Spec) -> Iterator[Schedule]:
    """Go through the schedules: a slot a second, half of them by a clock on the wall."""
    home = f"{spec['prefix']}/{spec['queue']}"
    for n in range(SERIES):
        limit = SHORT if n == 0 else None
        yield Schedule(
            queue_name=spec["queue"],
            key=f"series-{n}",
            name="work",
            data={"fails": 0, "home": home},
            repeat=Repeat(cron="* * * * * *", limit=limit)
            if n % 2
            else Repeat(every=SLOT, limit=limit),
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


async def lock(spec: Spec) -> None:
    """Take locks, work under them, for longer than they last now and then, and let go of them."""
    store, rng = store_of(spec), random.Random(spec["seed"])
    journal, ttl = store.journal, spec.get("ttl", 0.3)
    locks = AsyncSQLLock(store)
    with stopping() as told:
        if not await persist(told, store.connect):
            return
        while not told.is_set():
            with suppress(StoreUnavailable):
                await hold(locks, journal, rng, ttl)
            await pause(told, rng.uniform(0, 0.01))
        await store.disconnect()


async def hold(locks: AsyncLock, journal: Journal, rng: random.Random, ttl: float) -> None:
    key, owner, span = f"lock-{rng.randrange(2)}", journal.process, timedelta(seconds=ttl)
    asked = now()
    fence = await locks.acquire(key, owner, span)
    if fence is None:
        return
    held = {"key": key, "fence": fence}
    journal.write("acquired", **held, asked=asked, valid=asked + ttl)
    await asyncio.sleep(rng.uniform(0, ttl / 2))
    if rng.random() < 0.5:
        asked = now()
        if await locks.renew(key, owner, span):
            journal.write("renewed", **held, valid=asked + ttl)
        await asyncio.sleep(rng.uniform(0, ttl / 2))
    if rng.random() < 0.8:  # else it is left to run out
        journal.write("releasing", **held)
        await locks.release(key, owner)


ROLES: dict[str, Callable[[Spec], Awaitable[None]]] = {
    "enqueue": enqueue,
    "work": work,
    "put": put,
    "fire": fire,
    "lock": lock,
}


def play(spec: Spec) -> None:
    """Play the role of a spec to its end."""
    if spec.get("bug"):
        bugs.plant(spec["bug"])

    async def playing() -> None:
        await ROLES[spec["role"]](spec)

    asyncio.run(playing())
