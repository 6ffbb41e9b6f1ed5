"""Limits that hold for all workers of a queue together."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql import AsyncStore, Context, FetchOptions, JobState
from oqron_sql.contract import Group, Job, RateLimit, Settled
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.steps import QUEUE, Gate, Looks, queue_of, until, worker_of, working


async def test_a_queue_has_no_more_active_jobs_than_it_may(
    store: AsyncStore, harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs them; and the next begins when one has ended anywhere."""
    queue, gate = queue_of(store), Gate()
    limits = FetchOptions(max_active=3)
    jobs = await queue.add_bulk([("job", n) for n in range(9)])
    stores = (store, await harness.another())
    looks = [Looks(each, monkeypatch) for each in stores]
    async with AsyncExitStack() as workers:
        for each in stores:
            worker = worker_of(each, limits=limits, concurrency=5, poll=60)
            worker.handler()(gate)
            await workers.enter_async_context(working(worker))
        await gate.entered(3)
        for look in looks:
            await look.again()  # for jobs wait, and so it has tried to fetch
        assert (await queue.counts())[JobState.ACTIVE] == 3
        gate.open()
        assert [await job.result(10) for job in jobs] == list(range(9))
        assert gate.most == 3


async def test_an_end_that_is_recorded_during_a_fetch_makes_room(
    store: AsyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fetch still sees the job that ends, and returns when that end was heard of."""
    queue = queue_of(store)
    worker = worker_of(store, limits=FetchOptions(group_concurrency=1), concurrency=1, poll=300)
    worker.handler()(lambda context: context.data)
    fetch, finish = store.fetch_jobs, store.finish_jobs
    looked, settled = asyncio.Event(), asyncio.Event()

    async def fetch_late(*asked: Any) -> list[Job]:
        found = await fetch(*asked)
        if not found:
            looked.set()
            await settled.wait()
        return found

    async def finish_meanwhile(*ends: Any) -> list[Settled]:
        await looked.wait()
        recorded = await finish(*ends)
        asyncio.get_running_loop().call_later(0.05, settled.set)
        return recorded

    monkeypatch.setattr(store, "fetch_jobs", fetch_late)
    monkeypatch.setattr(store, "finish_jobs", finish_meanwhile)
    jobs = await queue.add_bulk([("job", n) for n in range(2)], group="one")
    async with working(worker):
        assert [await job.result(10) for job in jobs] == [0, 1]


async def test_groups_take_turns_and_have_their_cap(store: AsyncStore) -> None:
    queue = queue_of(store)
    worker = worker_of(store, limits=FetchOptions(group_concurrency=1), concurrency=4)
    running: Counter[str] = Counter()
    seen: list[str] = []

    @worker.handler()
    async def run(context: Context[Any]) -> None:
        group = context.job.group_id or ""
        running[group] += 1
        assert running[group] == 1
        seen.append(group)
        await asyncio.sleep(0.01)  # another of its group would begin meanwhile, if it could
        running[group] -= 1

    for group in "aaabbc":
        await queue.add("job", PAYLOAD, group=group)
    async with working(worker):
        await until(lambda: len(seen) == 6)
    assert sorted(seen[:3]) == ["a", "b", "c"]


async def test_a_rate_is_kept(store: AsyncStore, harness: StoreHarness) -> None:
    queue = queue_of(store)
    limits = FetchOptions(rate_limit=RateLimit(max=3, duration=timedelta(minutes=1)))
    worker = worker_of(store, limits=limits)
    done: list[int] = []

    @worker.handler()
    async def note(context: Context[int]) -> None:
        done.append(context.data)

    async def recorded(total: int) -> bool:
        """Whether so many have ended: a lease would be over when the clock has moved."""
        return (await queue.counts())[JobState.COMPLETED] == total

    await queue.add_bulk([("job", n) for n in range(7)])
    async with working(worker):
        for total in (3, 6, 7):
            await until(lambda: recorded(total))  # noqa: B023 - called at once
            assert len(done) == total
            await harness.advance(timedelta(minutes=1, seconds=1))
    assert done == list(range(7))


async def test_a_group_has_room_for_so_many(store: AsyncStore) -> None:
    queue = queue_of(store)
    group = Group(id="ada", max_size=2)
    worker = worker_of(store)
    worker.handler()(lambda context: None)
    for _ in range(2):
        await queue.add("job", PAYLOAD, group=group)
    assert await store.get_waiting_group_count(QUEUE, "ada") == 2
    async with working(worker):

        async def none_wait() -> bool:
            return not await store.get_waiting_group_count(QUEUE, "ada")

        await until(none_wait)
        await queue.add("job", PAYLOAD, group=group)
