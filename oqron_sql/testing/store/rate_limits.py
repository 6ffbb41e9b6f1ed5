"""Rates, and the bound on a whole queue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from oqron_sql.contract import AsyncStore, Complete, FetchOptions, Group, Job, RateLimit, Retry
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MILLISECOND,
    MINUTE,
    QUEUE,
    SECOND,
    WORKER,
    fetch,
    finish,
    job,
    save,
    save_new,
    take,
)

TWO = RateLimit(max=2, duration=MINUTE)


async def count(store: AsyncStore, tries: int = 6, **options: Any) -> int:
    """Return how many of so many fetches get a job."""
    found = [await fetch(store, **options) for _ in range(tries)]
    return len([each for each in found if each is not None])


async def test_a_rate_is_not_exceeded(store: AsyncStore) -> None:
    """[82]"""
    await save_new(store, *"abcdef")
    assert await count(store, rate_limit=TWO) == 2


async def test_no_rate_is_no_limit(store: AsyncStore) -> None:
    """[83]"""
    await save_new(store, *"abcde")
    assert await count(store) == 5


@requires("movable_clock")
async def test_the_window_slides(store: AsyncStore, harness: StoreHarness) -> None:
    """[84]"""
    await save_new(store, *"abcdef")
    assert await count(store, 1, rate_limit=TWO) == 1
    await harness.advance(40 * SECOND)
    assert await count(store, rate_limit=TWO) == 1
    await harness.advance(21 * SECOND)
    assert await count(store, rate_limit=TWO) == 1
    await harness.advance(20 * SECOND)
    assert await count(store, rate_limit=TWO) == 0
    await harness.advance(HOUR)
    assert await count(store, rate_limit=TWO) == 2


@requires("movable_clock")
async def test_short_windows_pass(store: AsyncStore, harness: StoreHarness) -> None:
    """[84] without waiting."""
    limit = RateLimit(max=1, duration=10 * SECOND)
    await save_new(store, *"abc")
    assert await count(store, rate_limit=limit) == 1
    await harness.advance(10 * SECOND + MILLISECOND)
    assert await count(store, rate_limit=limit) == 1


async def test_one_call_takes_what_is_left(store: AsyncStore) -> None:
    await save_new(store, *"abcdef")
    limit = RateLimit(max=4, duration=MINUTE)
    opts = FetchOptions(rate_limit=limit)
    assert len(await store.fetch_jobs(QUEUE, WORKER, MINUTE, 3, opts)) == 3
    assert len(await store.fetch_jobs(QUEUE, WORKER, MINUTE, 3, opts)) == 1
    assert await store.fetch_jobs(QUEUE, WORKER, MINUTE, 3, opts) == []


async def test_only_leases_with_a_rate_are_counted(store: AsyncStore) -> None:
    """W18"""
    await save_new(store, *"abcdef")
    assert await count(store, 3) == 3
    assert await count(store, rate_limit=TWO) == 2


async def test_an_empty_fetch_is_not_counted(store: AsyncStore) -> None:
    assert await count(store, rate_limit=TWO) == 0
    await save_new(store, *"abc")
    assert await count(store, rate_limit=TWO) == 2


async def test_windows_of_other_lengths_are_apart(store: AsyncStore) -> None:
    """W18: upstream's workers delete each other's history."""
    await save_new(store, *"abcdefghi")
    long = RateLimit(max=3, duration=HOUR)
    short = RateLimit(max=2, duration=timedelta(milliseconds=1500))
    assert await count(store, 2, rate_limit=long) == 2
    assert await count(store, rate_limit=TWO) == 2
    assert await count(store, rate_limit=long) == 1
    assert await count(store, 1, rate_limit=short) == 1
    assert await count(store, rate_limit=long) == 0


@requires("movable_clock")
async def test_a_short_window_does_not_shorten_a_long_one(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """W18"""
    await save_new(store, *"abcdef")
    long, short = RateLimit(max=1, duration=HOUR), RateLimit(max=9, duration=SECOND)
    assert await count(store, rate_limit=long) == 1
    await harness.advance(MINUTE)
    assert await count(store, 1, rate_limit=short) == 1
    assert await count(store, rate_limit=long) == 0


async def test_rates_are_per_queue(store: AsyncStore) -> None:
    await save_new(store, *"abc")
    await save_new(store, *"abc", queue="elsewhere")
    assert await count(store, rate_limit=TWO) == 2
    assert await count(store, rate_limit=TWO, queue="elsewhere") == 2


async def test_finishing_gives_no_ticket_back(store: AsyncStore) -> None:
    await save_new(store, *"abc")
    for _ in range(2):
        await finish(store, Retry(await take(store, rate_limit=TWO), "again"))
    assert await fetch(store, rate_limit=TWO) is None


async def test_a_rate_holds_in_groups(store: AsyncStore) -> None:
    for group in "abcd":
        await save(store, job(group=Group(id=group)))
    assert await count(store, rate_limit=TWO, group_concurrency=1) == 2


async def test_a_queue_has_no_more_active_jobs_than_asked(store: AsyncStore) -> None:
    """W17"""
    await save_new(store, *"abcdef")
    await save_new(store, "there", queue="elsewhere")
    await take(store, queue="elsewhere")
    assert await count(store, max_active=3) == 3
    running = (await store.list_jobs(QUEUE, (await take(store)).state))[0]
    assert await store.get_active_count(QUEUE) == 4
    assert await count(store, max_active=4) == 0
    await finish(store, Complete(running))
    assert await count(store, max_active=4) == 1


async def test_one_call_does_not_exceed_the_bound(store: AsyncStore) -> None:
    await save_new(store, *"abcdef")
    opts = FetchOptions(max_active=4)
    assert len(await store.fetch_jobs(QUEUE, WORKER, MINUTE, 3, opts)) == 3
    assert len(await store.fetch_jobs(QUEUE, WORKER, MINUTE, 3, opts)) == 1
    assert await store.fetch_jobs(QUEUE, WORKER, MINUTE, 3, opts) == []


async def test_all_bounds_hold_together(store: AsyncStore) -> None:
    made: list[Job] = [job(group=Group(id=group)) for group in "aaabbbccc"]
    await save(store, *made)
    opts = FetchOptions(
        group_concurrency=1, max_active=2, rate_limit=RateLimit(max=5, duration=MINUTE)
    )
    found = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 9, opts)
    assert len(found) == 2
    assert len({each.group_id for each in found}) == 2
