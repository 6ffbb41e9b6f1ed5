"""Schedules: what is put and read back, and what changes a series."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from oqron_sql.contract import AsyncStore, Backoff, Deduplication, Group, JobOptions, Repeat
from oqron_sql.errors import InvalidInput, PayloadTooLarge
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import HOUR, PAST, QUEUE, SECOND, callers, together
from oqron_sql.testing.store.schedule_steps import fired, put, schedule, slots_of, stored, waiting

SOME_DAY = datetime(2999, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "repeat",
    [
        Repeat(every=timedelta(days=1, microseconds=1), start=PAST, end=SOME_DAY),
        Repeat(cron="*/5 1 * * *", tz="Europe/Vienna", limit=2**40, start=SOME_DAY),
    ],
)
async def test_every_member_of_a_schedule_comes_back(store: AsyncStore, repeat: Repeat) -> None:
    opts = JobOptions(
        attempts=3,
        backoff=Backoff(type="exponential", delay=SECOND),
        priority=-5,
        deduplication=Deduplication(key="only one"),
        group=Group(id="g"),
        remove_on_complete=HOUR,
    )
    data = {"text": "naïve ✓", "at": PAST, "list": [1, None, True]}
    (made,) = await put(store, repeat=repeat, name="mail", data=data, opts=opts, catchup="none")
    assert await stored(store) == made
    given = schedule(repeat=repeat, name="mail", data=data, opts=opts, catchup="none")
    own = {
        name: getattr(made, name)
        for name in ("anchor", "fired", "last_slot", "next_slot", "version")
    }
    assert made == dataclasses.replace(given, **own)
    assert made.next_slot is not None
    assert made.next_slot.utcoffset() is not None


async def test_schedules_are_listed_by_queue_and_key(store: AsyncStore) -> None:
    made = [*await put(store, "b", "a", "B", "ä"), *await put(store, "a", queue="another")]
    assert [each.key for each in await store.list_schedules(QUEUE)] == ["B", "a", "b", "ä"]
    everywhere = [(each.queue_name, each.key) for each in await store.list_schedules()]
    assert everywhere == sorted((each.queue_name, each.key) for each in made)
    assert [each.key for each in await store.list_schedules(QUEUE, 1, 3)] == ["a", "b"]
    assert await store.list_schedules(QUEUE, 3, 1) == []
    assert await store.list_schedules("unheard-of") == []


async def test_no_schedule_of_that_key(store: AsyncStore) -> None:
    await put(store, "key")
    for queue, key in ((QUEUE, "Key"), ("another", "key")):
        assert await store.get_schedule(queue, key) is None
        assert not await store.pause_schedule(queue, key)
        assert not await store.resume_schedule(queue, key)
        assert not await store.remove_schedule(queue, key)
        assert await store.fire_schedules(queue) == []


async def test_what_is_put_is_checked_first(store: AsyncStore) -> None:
    with pytest.raises(InvalidInput):
        await store.put_schedule("another", schedule())
    with pytest.raises(PayloadTooLarge):
        await put(store, data="x" * 2**20)
    with pytest.raises(InvalidInput):
        await store.fire_schedules(QUEUE, limit=0)
    assert await store.list_schedules() == []


@requires("movable_clock")
async def test_a_redeploy_makes_no_second_series(store: AsyncStore, harness: StoreHarness) -> None:
    """W10"""
    (made,) = await put(store, data=1)
    await harness.advance(HOUR)
    await store.fire_schedules(QUEUE)
    await harness.advance(HOUR / 2)
    (again,) = await put(store, data=2, name="other")
    assert await store.list_schedules() == [again]
    assert (again.fired, again.anchor, again.name) == (1, made.anchor, "other")
    assert [again.last_slot, again.next_slot] == slots_of(made, 1, 2)
    await harness.advance(HOUR)
    await store.fire_schedules(QUEUE)
    assert [job.data for job in await waiting(store)] == [1, 2]


@requires("movable_clock")
async def test_another_pattern_begins_anew(store: AsyncStore, harness: StoreHarness) -> None:
    await put(store, repeat=Repeat(every=HOUR, limit=1))
    await harness.advance(HOUR)
    await store.fire_schedules(QUEUE)
    assert (await stored(store)).over
    (made,) = await put(store, repeat=Repeat(every=2 * HOUR, limit=1))
    assert (made.fired, made.last_slot, made.over) == (0, None, False)
    await harness.advance(HOUR)
    assert await store.fire_schedules(QUEUE) == []
    await harness.advance(HOUR)
    assert len(await store.fire_schedules(QUEUE)) == 1


@requires("movable_clock")
async def test_a_paused_series_fires_nothing(store: AsyncStore, harness: StoreHarness) -> None:
    (made,) = await put(store, catchup="all")
    assert await store.pause_schedule(QUEUE, "key")
    assert await store.pause_schedule(QUEUE, "key")
    paused = await stored(store)
    assert (paused.paused, paused.next_slot, paused.over) == (True, None, False)
    await harness.advance(3 * HOUR + SECOND)
    assert await store.fire_schedules(QUEUE) == []
    (put_again,) = await put(store, catchup="all")
    assert put_again.paused
    assert await store.resume_schedule(QUEUE, "key")
    assert await store.resume_schedule(QUEUE, "key")
    going = await stored(store)
    assert (going.paused, [going.next_slot]) == (False, slots_of(made, 4))
    await harness.advance(HOUR)
    assert [each.slot for each in await fired(store)] == slots_of(made, 4)


@requires("movable_clock")
async def test_a_removed_series_leaves_its_jobs(store: AsyncStore, harness: StoreHarness) -> None:
    await put(store, "key", "kept")
    await harness.advance(HOUR)
    await store.fire_schedules(QUEUE)
    assert await store.remove_schedule(QUEUE, "key")
    assert not await store.remove_schedule(QUEUE, "key")
    await harness.advance(HOUR)
    assert [each.key for each in await store.fire_schedules(QUEUE)] == ["kept"]
    assert len(await waiting(store)) == 3


async def test_an_obliterated_queue_has_no_schedules(store: AsyncStore) -> None:
    await put(store, "a", "b")
    await put(store, "a", queue="another")
    await store.drain(QUEUE)
    assert len(await store.list_schedules(QUEUE)) == 2
    await store.obliterate(QUEUE)
    assert [each.queue_name for each in await store.list_schedules()] == ["another"]


async def test_many_who_put_make_one_series(store: AsyncStore, harness: StoreHarness) -> None:
    stores = await callers(store, harness)
    made = await together(each.put_schedule(QUEUE, schedule()) for each in stores)
    assert len({(each.anchor, each.next_slot) for each in made}) == 1
    assert sorted(each.version for each in made) == list(range(1, len(stores) + 1))
    assert len(await store.list_schedules()) == 1
