"""Jobs that are not due yet."""

from __future__ import annotations

from oqron_sql.contract import AsyncStore, Complete, JobState
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MILLISECOND,
    MINUTE,
    PAST,
    QUEUE,
    SECOND,
    fetch,
    finish,
    job,
    now_of,
    read,
    save,
    save_new,
    take,
    take_names,
)


async def test_a_delayed_job_is_promoted_when_due(store: AsyncStore) -> None:
    """[10]"""
    (made,) = await save_new(store, "later", delay=100 * MILLISECOND)
    assert (await read(store, made)).state is JobState.DELAYED
    assert await fetch(store) is None
    due = await now_of(store) + 200 * MILLISECOND
    assert await store.promote_delayed_jobs(QUEUE, due) == 1
    found = await read(store, made)
    assert (found.state, found.delay_until) == (JobState.WAITING, None)
    assert (await take(store)).id == made.id


async def test_a_delay_counts_from_the_save(store: AsyncStore) -> None:
    before = await now_of(store)
    (made,) = await save_new(store, "later", delay=HOUR)
    after = await now_of(store)
    due = (await read(store, made)).delay_until
    assert due is not None
    assert before + HOUR <= due <= after + HOUR


async def test_an_instant_wins_over_the_delay(store: AsyncStore) -> None:
    made = job(delay=HOUR)
    made.delay_until = PAST
    await save(store, made)
    assert (await read(store, made)).delay_until == PAST


async def test_the_state_is_not_derived(store: AsyncStore) -> None:
    made = job(delay=HOUR)
    made.state = JobState.WAITING
    await save(store, made)
    assert (await read(store, made)).state is JobState.WAITING
    assert (await take(store)).id == made.id


async def test_the_next_due_instant_is_exact(store: AsyncStore) -> None:
    """[28]"""
    assert await store.get_next_delayed_timestamp(QUEUE) is None
    for minutes in (3, 1, 2):
        made = job()
        made.state, made.delay_until = JobState.DELAYED, PAST + minutes * MINUTE
        await save(store, made)
    await save_new(store, "waiting")
    assert await store.get_next_delayed_timestamp(QUEUE) == PAST + MINUTE
    assert await store.get_next_delayed_timestamp("elsewhere") is None


async def test_what_is_not_due_stays_delayed(store: AsyncStore) -> None:
    """[56]"""
    (made,) = await save_new(store, "later", delay=MINUTE)
    assert await store.promote_delayed_jobs(QUEUE, await now_of(store)) == 0
    assert await store.promote_delayed_jobs(QUEUE) == 0
    assert (await read(store, made)).state is JobState.DELAYED


@requires("movable_clock")
async def test_due_is_by_the_store_s_clock(store: AsyncStore, harness: StoreHarness) -> None:
    await save_new(store, "soon", delay=MINUTE)
    await save_new(store, "later", delay=HOUR)
    await harness.advance(2 * MINUTE)
    assert await store.promote_delayed_jobs(QUEUE) == 1
    assert await take_names(store, 1) == ["soon"]
    assert await fetch(store) is None


async def test_due_at_the_instant_itself(store: AsyncStore) -> None:
    made = job()
    made.state, made.delay_until = JobState.DELAYED, PAST
    await save(store, made)
    assert await store.promote_delayed_jobs(QUEUE, PAST - MILLISECOND) == 0
    assert await store.promote_delayed_jobs(QUEUE, PAST) == 1


async def test_a_promoted_job_keeps_its_place(store: AsyncStore) -> None:
    await save_new(store, "delayed", delay=SECOND)
    await save_new(store, "younger")
    assert await store.promote_jobs(QUEUE) == 1
    assert await take_names(store, 2) == ["delayed", "younger"]


async def test_promotion_can_be_bounded(store: AsyncStore) -> None:
    """W26"""
    await save_new(store, *"abcde", delay=MINUTE)
    due = await now_of(store) + HOUR
    assert await store.promote_delayed_jobs(QUEUE, due, limit=2) == 2
    assert await store.count_jobs(QUEUE, JobState.DELAYED) == 3
    assert await store.promote_delayed_jobs(QUEUE, due, limit=9) == 3
    assert await store.promote_delayed_jobs(QUEUE, due, limit=9) == 0


async def test_all_delayed_jobs_can_be_promoted(store: AsyncStore) -> None:
    """[80]"""
    made = await save_new(store, "a", "b", delay=HOUR)
    await save_new(store, "there", queue="elsewhere", delay=HOUR)
    assert await store.promote_jobs(QUEUE) == 2
    for each in made:
        found = await read(store, each)
        assert (found.state, found.delay_until) == (JobState.WAITING, None)
    assert await store.count_jobs("elsewhere", JobState.DELAYED) == 1


async def test_nothing_delayed_is_nothing_promoted(store: AsyncStore) -> None:
    """[81]"""
    await save_new(store, "waiting")
    assert await store.promote_jobs(QUEUE) == 0


async def test_many_are_promoted(store: AsyncStore) -> None:
    """In bounded steps, which nobody sees."""
    await store.save_bulk(QUEUE, [job(delay=MINUTE) for _ in range(600)])
    assert await store.promote_delayed_jobs(QUEUE, await now_of(store) + HOUR) == 600
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 600


async def test_only_delayed_jobs_are_promoted(store: AsyncStore) -> None:
    made = job()
    made.delay_until = PAST
    await save(store, made)
    await finish(store, Complete(await take(store)))
    assert await store.promote_delayed_jobs(QUEUE) == 0
    assert (await read(store, made)).state is JobState.COMPLETED
