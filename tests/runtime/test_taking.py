"""Which jobs a worker takes, when, and how many at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql import AsyncStore, Context, FetchOptions, JobOptions, JobState
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.steps import (
    QUEUE,
    Gate,
    ended,
    queue_of,
    until,
    until_counted,
    worker_of,
    working,
)


async def test_batches(store: AsyncStore) -> None:
    """One call takes what is there, up to its size; each job has an outcome of its own."""
    queue, worker = queue_of(store), worker_of(store, concurrency=2)
    sizes: list[int] = []

    @worker.batch_handler("many", size=4)
    async def many(contexts: Sequence[Context[int]]) -> list[Any]:
        sizes.append(len(contexts))
        return [ValueError("odd") if each.data % 2 else each.data for each in contexts]

    @worker.batch_handler("all at once", size=3)
    def all_at_once(contexts: Sequence[Context[int]]) -> None:
        sizes.append(len(contexts))

    @worker.batch_handler("too few", size=3)
    async def too_few(contexts: Sequence[Context[int]]) -> list[int]:
        return [1] * (len(contexts) + 1)

    jobs = await queue.add_bulk([("many", n) for n in range(10)])
    async with working(worker):
        found = [await ended(store, job.id) for job in jobs]
        assert sum(sizes) == 10
        assert max(sizes) == 4
        for n, job in enumerate(found):
            if n % 2:
                assert (job.state, job.failed_reason) == (JobState.FAILED, "ValueError: odd")
            else:
                assert (job.state, job.returnvalue) == (JobState.COMPLETED, n)
        for name, state in (("all at once", JobState.COMPLETED), ("too few", JobState.FAILED)):
            jobs = await queue.add_bulk([(name, n) for n in range(5)])
            assert {(await ended(store, job.id)).state for job in jobs} == {state}


async def test_no_more_run_at_a_time_than_may(store: AsyncStore) -> None:
    """And a slot that gets free is taken at once, not at the next look."""
    queue, worker = queue_of(store), worker_of(store, concurrency=3, poll=60)
    gate = Gate()
    worker.handler("job")(gate)
    jobs = await queue.add_bulk([("job", n) for n in range(10)])
    async with working(worker):
        await gate.entered(3)
        await asyncio.sleep(0.05)  # only time shows that no more begin
        assert gate.most == 3
        gate.open()
        assert [await job.result(5) for job in jobs] == list(range(10))
        assert gate.most == 3


async def test_a_busy_worker_keeps_no_jobs_from_others(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """Slow jobs are leased one by one, however many wait."""
    queue, busy = queue_of(store), worker_of(store, concurrency=2)
    gate = Gate()
    busy.handler("job")(gate)
    await queue.add_bulk([("job", n) for n in range(20)])
    async with working(busy):
        await gate.entered(2)
        await asyncio.sleep(0.1)  # only time shows that it leases no more
        assert (await queue.counts())[JobState.ACTIVE] == 2
        other = await harness.another()
        assert len(await other.fetch_jobs(QUEUE, "other", timedelta(minutes=1), 50)) == 18
        gate.open()


async def test_a_worker_that_has_become_slow_hands_back(store: AsyncStore) -> None:
    """What it leased ahead when its jobs were quick does not wait for it."""
    queue, worker, gate = queue_of(store), worker_of(store, concurrency=2), Gate()
    worker.handler("slow")(gate)

    @worker.handler("quick")
    async def quick(context: Context[Any]) -> None:
        pass

    await queue.add_bulk([*[("quick", None)] * 400, *[("slow", None)] * 40])
    async with working(worker):

        async def active() -> int:
            return (await queue.counts())[JobState.ACTIVE]

        await gate.entered(2)
        started = time.monotonic()
        most = await active()

        async def handed_back() -> bool:
            return await active() == 2

        await until(handed_back)
        assert time.monotonic() - started < 2.5
        gate.open()
        await until_counted(store, 440)
        assert all(not job.attempts_made for job in await queue.list(JobState.COMPLETED))
    assert most > 2


async def test_jobs_run_in_their_order(store: AsyncStore) -> None:
    queue = queue_of(store)
    seen: list[int] = []

    async def note(context: Context[int]) -> None:
        seen.append(context.data)

    for lifo, expected in ((False, [9, 0, 1, 2, 3, 8]), (True, [9, 3, 2, 1, 0, 8])):
        worker = worker_of(store, concurrency=1, prefetch=0, limits=FetchOptions(lifo=lifo))
        worker.handler("job")(note)
        first, last = JobOptions(priority=-1), JobOptions(priority=1)
        await queue.add_bulk([("job", 8, last), *(("job", n) for n in range(4)), ("job", 9, first)])
        async with working(worker):
            await until(lambda: len(seen) == 6)
        assert seen == expected
        seen.clear()


async def test_delayed_jobs_run_when_they_are_due(store: AsyncStore, harness: StoreHarness) -> None:
    queue, worker = queue_of(store), worker_of(store)
    worker.handler()(lambda context: "done")
    async with working(worker):
        late = await queue.schedule("in 2 hours", "job")
        soon = await queue.schedule(0.05, "job")
        started = time.monotonic()
        assert await soon.result(10) == "done"
        assert time.monotonic() - started >= 0.04
        found = await late.get()
        assert found is not None
        assert found.state is JobState.DELAYED
        await harness.advance(timedelta(hours=2))
        assert await late.result(10) == "done"


async def test_what_is_paused_waits(store: AsyncStore) -> None:
    queue, worker = queue_of(store), worker_of(store)
    worker.handler()(lambda context: "done")
    await queue.pause("news")
    async with working(worker):
        news, other = await queue.add("news", PAYLOAD), await queue.add("other")
        assert await other.result(10) == "done"
        assert (await queue.counts())[JobState.WAITING] == 1
        await queue.resume("news")
        assert await news.result(10) == "done"
        await queue.pause()
        assert await queue.paused() == ["__all__"]
        waiting = await queue.add("other", PAYLOAD)
        with pytest.raises(TimeoutError, match=r"did not end within 0\.1 s"):
            await waiting.result(0.1)
        await queue.resume()
        assert await waiting.result(10) == "done"


async def test_jobs_of_others_are_found_by_looking(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """Nobody tells of them: they were saved by another process, or so it seems."""
    other = await harness.another()
    worker = worker_of(store)
    worker.handler()(lambda context: "done")
    async with working(worker):
        await until(lambda: store.has_subscribers(QUEUE))
        job = await queue_of(other).add("job", PAYLOAD)
        assert await job.result(10) == "done"
        later = await queue_of(other).add("job", PAYLOAD, delay=0.1)
        assert await later.result(10) == "done"
