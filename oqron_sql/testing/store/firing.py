"""Slots: when they are due, that each is fired once, and what comes of those that were missed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from oqron_sql.contract import (
    AsyncStore,
    Complete,
    Deduplication,
    Fired,
    JobOptions,
    Outlook,
    Repeat,
)
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    QUEUE,
    SECOND,
    callers,
    finish,
    now_of,
    take,
    together,
)
from oqron_sql.testing.store.clocks import skewed, wrong_clock
from oqron_sql.testing.store.schedule_steps import fired, put, slots_of, stored, waiting


@requires("movable_clock")
async def test_a_series_of_which_nothing_is_made_up_for_holds_up_nobody(
    store: AsyncStore, harness: StoreHarness
) -> None:
    await put(store, "missed", repeat=Repeat(every=5 * MINUTE), catchup="none")
    await harness.advance(MINUTE)
    await put(store, "due", repeat=Repeat(every=5 * MINUTE))
    await harness.advance(8 * MINUTE)
    assert [each.key for each in await store.fire_schedules(QUEUE, limit=1)] == ["due"]


@requires("movable_clock")
async def test_a_slot_is_fired_when_it_is_due(store: AsyncStore, harness: StoreHarness) -> None:
    (made,) = await put(store, name="mail", data={"to": "ada"}, opts=JobOptions(priority=7))
    assert made.next_slot is not None
    assert made.next_slot - await now_of(store) <= HOUR
    assert await store.fire_schedules(QUEUE) == []
    await harness.advance(HOUR + SECOND)
    (told,) = await store.fire_schedules(QUEUE)
    assert (told.key, told.slot) == ("key", made.next_slot)
    (job,) = await waiting(store)
    assert (job.id, job.name, job.data, job.opts.priority) == (
        told.job_id,
        "mail",
        {"to": "ada"},
        7,
    )
    assert told.job_id.startswith("key@")
    assert await store.fire_schedules(QUEUE) == []
    after = await stored(store)
    assert (after.fired, after.last_slot) == (1, made.next_slot)
    assert after.next_slot == made.next_slot + HOUR


@requires("movable_clock")
async def test_the_time_until_the_next_slot(store: AsyncStore, harness: StoreHarness) -> None:
    await put(store, "later", repeat=Repeat(every=2 * HOUR))
    await put(store, "soon", "never", repeat=Repeat(every=HOUR))
    await store.pause_schedule(QUEUE, "never")
    fires_in = (await store.get_outlook(QUEUE)).fires_in
    assert fires_in is not None
    assert HOUR - MINUTE < fires_in <= HOUR
    await harness.advance(HOUR + SECOND)
    assert await store.get_outlook(QUEUE) == Outlook(fires_in=timedelta(0))
    await store.fire_schedules(QUEUE)
    outlook = await store.get_outlook(QUEUE)
    assert outlook.waiting
    assert outlook.fires_in is not None
    assert HOUR - MINUTE < outlook.fires_in <= HOUR
    assert (await store.get_outlook("another")).fires_in is None


@requires("movable_clock")
async def test_how_a_job_ends_does_not_matter(store: AsyncStore, harness: StoreHarness) -> None:
    """W10: upstream's series ends with the first job that fails."""
    await put(store)
    for n in (1, 2, 3):
        await harness.advance(HOUR)
        assert len(await store.fire_schedules(QUEUE)) == 1
        assert (await stored(store)).fired == n
    await finish(store, Complete(await take(store)))
    assert len(await waiting(store)) == 2


@requires("movable_clock")
async def test_start_end_and_limit_are_exact(store: AsyncStore, harness: StoreHarness) -> None:
    start = await now_of(store) + 2 * HOUR
    bounds = {
        "limited": Repeat(every=HOUR, limit=2),
        "ended": Repeat(every=HOUR, start=start, end=start + 2 * HOUR),
        "started": Repeat(every=HOUR, start=start, limit=1),
    }
    for key, repeat in bounds.items():
        await put(store, key, repeat=repeat)
    found: list[Fired] = []
    for _ in range(6):
        await harness.advance(HOUR)
        found += await fired(store)
    by_key = {key: [each.slot for each in found if each.key == key] for key in bounds}
    assert len(by_key["limited"]) == 2
    assert by_key["ended"] == [start, start + HOUR]
    assert by_key["started"] == [start]
    assert all(each.over for each in await store.list_schedules())
    assert (await store.get_outlook(QUEUE)).fires_in is None


@requires("movable_clock")
@pytest.mark.parametrize(
    ("catchup", "made_up_for"), [("latest", [5]), ("all", [1, 2, 3, 4, 5]), ("none", [])]
)
async def test_slots_that_nobody_was_there_for(
    store: AsyncStore, harness: StoreHarness, catchup: str, made_up_for: list[int]
) -> None:
    (made,) = await put(store, catchup=catchup)
    await harness.advance(5 * HOUR + 2 * MINUTE)
    assert [each.slot for each in await fired(store, limit=2)] == slots_of(made, *made_up_for)
    after = await stored(store)
    assert (after.fired, [after.next_slot]) == (len(made_up_for), slots_of(made, 6))
    await harness.advance(HOUR - 2 * MINUTE + SECOND)  # no longer than it takes to look
    assert [each.slot for each in await fired(store)] == slots_of(made, 6)


@requires("movable_clock")
async def test_firing_is_bounded(store: AsyncStore, harness: StoreHarness) -> None:
    await put(store, "all", repeat=Repeat(every=MINUTE), catchup="all")
    await put(store, "a", "b", "c")
    await harness.advance(HOUR + SECOND)
    told = [await store.fire_schedules(QUEUE, limit=25) for _ in range(4)]
    assert [len(each) for each in told] == [25, 25, 13, 0]
    assert len({each.job_id for some in told for each in some}) == 63


@requires("movable_clock")
async def test_a_clock_that_is_set_back_repeats_no_slot(
    store: AsyncStore, harness: StoreHarness
) -> None:
    repeat = Repeat(every=HOUR, start=await now_of(store) + HOUR)
    await put(store, repeat=repeat)
    await harness.advance(HOUR + SECOND)
    (first,) = await store.fire_schedules(QUEUE)
    await harness.advance(-HOUR)
    assert await store.fire_schedules(QUEUE) == []
    # Not even by a series that is begun again: the job of that slot is there.
    await store.remove_schedule(QUEUE, "key")
    await put(store, repeat=repeat)
    await harness.advance(HOUR)
    assert await store.fire_schedules(QUEUE) == [first]
    assert len(await waiting(store)) == 1


@requires("movable_clock")
async def test_a_job_may_stand_for_the_next(store: AsyncStore, harness: StoreHarness) -> None:
    """With a deduplication key, runs do not overlap."""
    await put(store, opts=JobOptions(deduplication=Deduplication(key="one")))
    told = []
    for _ in range(2):
        await harness.advance(HOUR)
        told += await store.fire_schedules(QUEUE)
    assert len({each.job_id for each in told}) == len(await waiting(store)) == 1
    await finish(store, Complete(await take(store)))
    await harness.advance(HOUR)
    await store.fire_schedules(QUEUE)
    assert len(await waiting(store)) == 1


@requires("movable_clock")
async def test_many_schedulers_fire_each_slot_once(
    store: AsyncStore, harness: StoreHarness
) -> None:
    stores = await callers(store, harness)
    keys = [f"key-{n}" for n in range(10)]
    await put(store, *keys, catchup="all")
    for hours in (1, 2):
        await harness.advance(hours * HOUR)
        told = await together(each.fire_schedules(QUEUE, limit=7) for each in stores)
        told.append(await fired(store))
        ids = [each.job_id for some in told for each in some]
        assert len(ids) == len(set(ids)) == 10 * hours
    assert len(await waiting(store)) == 30
    assert {each.fired for each in await store.list_schedules()} == {3}


@requires("movable_clock")
async def test_pausing_and_firing_exclude_each_other(
    store: AsyncStore, harness: StoreHarness
) -> None:
    stores = await callers(store, harness)
    for _ in range(5):
        await put(store)
        before = (await stored(store)).fired
        await harness.advance(HOUR + SECOND)
        firing = (each.fire_schedules(QUEUE) for each in stores[1:])
        _, *told = await together([_pause(stores[0]), *firing])
        after = await stored(store)
        assert (after.paused, after.next_slot) == (True, None)
        assert after.fired - before == sum(map(len, told)) <= 1
        await store.resume_schedule(QUEUE, "key")


async def _pause(store: AsyncStore) -> list[Fired]:
    await store.pause_schedule(QUEUE, "key")
    return []


@requires("server_clock")
@skewed
async def test_a_wrong_clock_does_not_change_a_slot(store: AsyncStore, skew: timedelta) -> None:
    with wrong_clock(skew):
        (made,) = await put(store)
        assert await store.fire_schedules(QUEUE) == []
    assert made.next_slot is not None
    assert HOUR - MINUTE < made.next_slot - await now_of(store) <= HOUR
