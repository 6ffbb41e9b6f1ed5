"""Counts and lists."""

from __future__ import annotations

import random

import pytest

from oqron_sql.contract import (
    AsyncStore,
    Complete,
    Fail,
    Job,
    JobState,
    Repeat,
    Retry,
    Schedule,
)
from oqron_sql.contract.model import FINISHED, LIVE
from oqron_sql.errors import InvalidInput
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    PAST,
    QUEUE,
    WORKER,
    completed,
    failed,
    finish,
    job,
    leased,
    now_of,
    read,
    save,
    save_new,
    take,
)

NONE = dict.fromkeys(JobState, 0)


async def listed(store: AsyncStore, state: JobState, start: int = 0, end: int = 100) -> list[str]:
    """Return the names of a page."""
    return [each.name for each in await store.list_jobs(QUEUE, state, start, end)]


async def test_jobs_are_counted_by_state(store: AsyncStore) -> None:
    """[27]"""
    await save_new(store, "a", "b")
    await save_new(store, "later", delay=MINUTE)
    found = {state: await store.count_jobs(QUEUE, state) for state in JobState}
    assert found == NONE | {JobState.WAITING: 2, JobState.DELAYED: 1}
    assert await store.get_job_counts(QUEUE) == found


async def test_counts_follow_the_jobs(store: AsyncStore) -> None:
    """[72]"""
    await completed(store)
    await failed(store)
    await leased(store)
    await save_new(store, "waiting")
    await save_new(store, "delayed", delay=MINUTE)
    assert await store.get_job_counts(QUEUE) == {
        JobState.WAITING: 1,
        JobState.WAITING_CHILDREN: 0,
        JobState.DELAYED: 1,
        JobState.ACTIVE: 1,
        JobState.COMPLETED: 1,
        JobState.FAILED: 1,
    }


async def test_an_empty_queue_has_six_zeros(store: AsyncStore) -> None:
    """[73]"""
    await save_new(store, "there", queue="elsewhere")
    counts = await store.get_job_counts(QUEUE)
    assert counts == NONE
    assert {type(state) for state in counts} == {JobState}


async def test_pages_are_slices(store: AsyncStore) -> None:
    """[49]"""
    await save_new(store, *"abcde")
    assert await listed(store, JobState.WAITING, 0, 3) == ["a", "b", "c"]
    assert await listed(store, JobState.WAITING, 3, 5) == ["d", "e"]
    assert await listed(store, JobState.WAITING, 4, 100) == ["e"]
    assert await listed(store, JobState.WAITING, 10, 20) == []
    for start, end in ((3, 3), (3, 2), (0, 0), (0, -1)):
        assert await listed(store, JobState.WAITING, start, end) == []


async def test_a_negative_start_is_refused(store: AsyncStore) -> None:
    await save_new(store, *"abcde")
    with pytest.raises(InvalidInput):
        await store.list_jobs(QUEUE, JobState.WAITING, -2)
    with pytest.raises(InvalidInput):
        await store.list_jobs(QUEUE, JobState.WAITING, -2, -1)


async def test_a_page_is_a_hundred(store: AsyncStore) -> None:
    await store.save_bulk(QUEUE, [job(str(n)) for n in range(103)])
    page = await store.list_jobs(QUEUE, JobState.WAITING)
    assert [each.name for each in page] == [str(n) for n in range(100)]


async def test_live_jobs_are_listed_oldest_first(store: AsyncStore) -> None:
    for state in LIVE:
        for name, minutes in (("young", 3), ("old", 1), ("middle", 2), ("also-middle", 2)):
            made = job(name)
            made.state, made.created_at = state, PAST + minutes * MINUTE
            await save(store, made)
        assert await listed(store, state) == ["old", "middle", "also-middle", "young"]
        assert await listed(store, state, 1, 3) == ["middle", "also-middle"]


async def test_finished_jobs_are_listed_newest_first(store: AsyncStore) -> None:
    for state in FINISHED:
        for name, minutes in (("middle", 2), ("old", 1), ("young", 3)):
            made = job(name)
            made.state = state
            made.completed_at = PAST + minutes * MINUTE
            made.failed_at = PAST + minutes * MINUTE
            await save(store, made)
        assert await listed(store, state) == ["young", "middle", "old"]
        assert await listed(store, state, 1) == ["middle", "old"]


async def test_pages_of_ties_cover_all(store: AsyncStore) -> None:
    for n in range(10):
        made = job(str(n))
        made.state, made.created_at, made.completed_at = JobState.COMPLETED, PAST, PAST
        await save(store, made)
    pages = [await listed(store, JobState.COMPLETED, n, n + 3) for n in range(0, 12, 3)]
    assert sorted(name for page in pages for name in page) == [str(n) for n in range(10)]


async def test_queues_are_listed_by_name(store: AsyncStore) -> None:
    """[86]"""
    assert await store.list_queues() == []
    await save_new(store, "a", queue="mail")
    await save_new(store, "a", "b", queue="audio")
    audio, mail = await store.list_queues()
    assert (audio.name, mail.name) == ("audio", "mail")
    assert audio.counts == NONE | {JobState.WAITING: 2}
    assert mail.counts == NONE | {JobState.WAITING: 1}
    assert (audio.is_paused, audio.scheduled_count) == (False, 0)
    assert audio.latest_activity is not None
    assert audio.latest_activity.utcoffset() is not None


async def test_a_paused_queue_says_so(store: AsyncStore) -> None:
    """[87]"""
    await save_new(store, "job")
    await store.pause_job_name(QUEUE, "job")
    for pause, expected in (
        (store.pause_job_name, True),
        (store.resume_job_name, False),
    ):
        await pause(QUEUE, "__all__")
        (info,) = await store.list_queues()
        assert info.is_paused is expected


async def test_active_jobs_belong_to_a_queue_s_counts(store: AsyncStore) -> None:
    """[88]"""
    await save_new(store, "a", "b")
    await take(store)
    (info,) = await store.list_queues()
    assert info.counts == NONE | {JobState.WAITING: 1, JobState.ACTIVE: 1}


async def test_only_a_queue_with_jobs_is_listed(store: AsyncStore) -> None:
    await store.get_job("looked-at", "unknown")
    await store.fetch_next_job("fetched", WORKER, MINUTE)
    await store.pause_job_name("paused", "__all__")
    (made,) = await save_new(store, "job")
    await store.remove_job(QUEUE, made.id)
    assert await store.list_queues() == []


async def test_live_jobs_that_repeat_are_scheduled(store: AsyncStore) -> None:
    repeat = Repeat(every=HOUR)
    await save_new(store, "ended", repeat=repeat)
    await finish(store, Complete(await take(store)))
    await save_new(store, "once")
    await save_new(store, "a", "b", repeat=repeat)
    await save_new(store, "later", repeat=repeat, delay=MINUTE)
    (info,) = await store.list_queues()
    assert info.scheduled_count == 3


async def test_schedules_that_go_on_are_scheduled(store: AsyncStore) -> None:
    await save_new(store, "once")
    await save_new(store, "other", queue="another")
    for key in ("a", "b", "paused"):
        made = Schedule(queue_name=QUEUE, key=key, name="job", repeat=Repeat(every=HOUR))
        await store.put_schedule(QUEUE, made)
    await store.pause_schedule(QUEUE, "paused")
    counts = {info.name: info.scheduled_count for info in await store.list_queues()}
    assert counts == {QUEUE: 2, "another": 0}


async def test_the_latest_activity_is_that_of_any_job(store: AsyncStore) -> None:
    for member, state, minutes in (
        ("processed_at", JobState.ACTIVE, 2),
        ("completed_at", JobState.COMPLETED, 3),
        ("failed_at", JobState.FAILED, 4),
        ("created_at", JobState.WAITING, 5),
    ):
        made = job()
        made.created_at, made.state = PAST, state
        setattr(made, member, PAST + minutes * MINUTE)
        await save(store, made)
        (info,) = await store.list_queues()
        assert info.latest_activity == PAST + minutes * MINUTE
    before = await now_of(store)
    await take(store)
    (info,) = await store.list_queues()
    assert info.latest_activity is not None
    assert before <= info.latest_activity <= await now_of(store)


@requires("movable_clock")
async def test_counts_are_right_after_everything(store: AsyncStore, harness: StoreHarness) -> None:
    """A long random life; the seed makes a failure repeatable."""
    chance = random.Random(20260731)  # noqa: S311  # chance is all that is wanted
    held: list[Job] = []
    for step in range(120):
        await something(store, harness, chance, held)
        if step % 20 == 19:
            await assert_counts(store)
    await assert_counts(store)


async def something(
    store: AsyncStore, harness: StoreHarness, chance: random.Random, held: list[Job]
) -> None:
    """Do one thing that may happen to a queue."""
    what = chance.choices(
        ["save", "fetch", "finish", "update", "remove", "promote", "recover", "clean", "retry"],
        [8, 8, 6, 4, 1, 2, 2, 1, 1],
    )[0]
    states = list(JobState)
    match what:
        case "save":
            bulk = [job(chance.choice("ab"), delay=chance.choice([None, MINUTE])) for _ in range(3)]
            await store.save_bulk(QUEUE, bulk)
        case "fetch":
            held += await store.fetch_jobs(QUEUE, WORKER, MINUTE, chance.randint(1, 3))
        case "finish" if held:
            made = held.pop(chance.randrange(len(held)))
            how = chance.randrange(4)
            await finish(
                store,
                (Complete(made), Fail(made, "x"), Retry(made, "x"), Retry(made, "x", MINUTE))[how],
            )
        case "update" if held:
            made = chance.choice(held)
            await store.update_job(QUEUE, made.id, {"state": chance.choice(states)})
        case "remove" if held:
            await store.remove_job(QUEUE, held.pop().id)
        case "promote":
            await harness.advance(MINUTE / 2)
            await store.promote_delayed_jobs(QUEUE, limit=chance.choice([None, 2]))
        case "recover":
            await store.recover_lost(QUEUE, limit=2, max_lost=1)
        case "clean":
            await store.clean(QUEUE, JobState.COMPLETED, MINUTE)
        case "retry":
            await store.retry_jobs(QUEUE, chance.choice([JobState.FAILED, JobState.COMPLETED]))


async def assert_counts(store: AsyncStore) -> None:
    """Assert that every way of counting says the same."""
    counts = await store.get_job_counts(QUEUE)
    lists = {state: await store.list_jobs(QUEUE, state, 0, 10_000) for state in JobState}
    assert counts == {state: len(jobs) for state, jobs in lists.items()}
    assert counts[JobState.ACTIVE] == await store.get_active_count(QUEUE)
    for state, jobs in lists.items():
        assert await store.count_jobs(QUEUE, state) == len(jobs)
        assert {each.state for each in jobs} <= {state}
        assert all((each.locked_by is not None) <= (state is JobState.ACTIVE) for each in jobs)
    ids = [each.id for jobs in lists.values() for each in jobs]
    assert len(set(ids)) == len(ids)
    (info,) = await store.list_queues()
    assert info.counts == counts
    if lists[JobState.WAITING]:
        sample = lists[JobState.WAITING][0]
        assert await read(store, sample) == sample
