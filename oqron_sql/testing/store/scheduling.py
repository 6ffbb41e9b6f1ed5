"""Schedules: when their slots are due, that each is fired once, and what changes a series."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oqron_sql.contract import (
    AsyncStore,
    Backoff,
    Complete,
    Deduplication,
    Fired,
    Group,
    Job,
    JobOptions,
    JobState,
    Outlook,
    Repeat,
    Schedule,
)
from oqron_sql.errors import InvalidInput, PayloadTooLarge
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    PAST,
    QUEUE,
    SECOND,
    callers,
    finish,
    now_of,
    take,
    together,
)
from oqron_sql.testing.store.clocks import skewed, wrong_clock

SOME_DAY = datetime(2999, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)


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


@requires("movable_clock")
async def test_a_series_of_which_nothing_is_made_up_for_holds_up_nobody(
    store: AsyncStore, harness: StoreHarness
) -> None:
    await put(store, "missed", repeat=Repeat(every=5 * MINUTE), catchup="none")
    await harness.advance(MINUTE)
    await put(store, "due", repeat=Repeat(every=5 * MINUTE))
    await harness.advance(8 * MINUTE)
    assert [each.key for each in await store.fire_schedules(QUEUE, limit=1)] == ["due"]


async def test_what_is_put_is_checked_first(store: AsyncStore) -> None:
    with pytest.raises(InvalidInput):
        await store.put_schedule("another", schedule())
    with pytest.raises(PayloadTooLarge):
        await put(store, data="x" * 2**20)
    with pytest.raises(InvalidInput):
        await store.fire_schedules(QUEUE, limit=0)
    assert await store.list_schedules() == []


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


async def test_many_who_put_make_one_series(store: AsyncStore, harness: StoreHarness) -> None:
    stores = await callers(store, harness)
    made = await together(each.put_schedule(QUEUE, schedule()) for each in stores)
    assert len({(each.anchor, each.next_slot) for each in made}) == 1
    assert sorted(each.version for each in made) == list(range(1, len(stores) + 1))
    assert len(await store.list_schedules()) == 1


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
