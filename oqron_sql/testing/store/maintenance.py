"""Cleaning, draining and obliterating."""

from __future__ import annotations

from datetime import datetime

import pytest

from oqron_sql.contract import AsyncStore, Job, JobState, RateLimit, StoreEvent
from oqron_sql.contract.model import Granularity
from oqron_sql.errors import QueueActive
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MILLISECOND,
    MINUTE,
    QUEUE,
    SECOND,
    completed,
    contents,
    failed,
    fetch,
    job,
    leased,
    now_of,
    read,
    save,
    save_new,
    take,
)

GRANULARITIES: tuple[Granularity, ...] = ("minute", "hour")
AGED = {JobState.COMPLETED: "completed_at", JobState.FAILED: "failed_at"}


async def aged(store: AsyncStore, state: JobState, name: str, since: datetime | None) -> Job:
    """Save a job that is in `state` since that instant."""
    made = job(name)
    made.state, made.created_at = state, await now_of(store)
    setattr(made, AGED.get(state, "created_at"), since)
    await save(store, made)
    return made


async def test_drain_empties_what_has_not_begun(store: AsyncStore) -> None:
    """[13] [47]"""
    await completed(store)
    await failed(store)
    await leased(store)
    await save_new(store, "waiting")
    await save_new(store, "delayed", delay=MINUTE)
    parent = job("parent")
    parent.state = JobState.WAITING_CHILDREN
    await save(store, parent)
    await save_new(store, "there", queue="elsewhere")
    await store.drain(QUEUE)
    begun = {JobState.ACTIVE: 1, JobState.COMPLETED: 1, JobState.FAILED: 1}
    assert await store.get_job_counts(QUEUE) == dict.fromkeys(JobState, 0) | begun
    assert await store.count_jobs("elsewhere", JobState.WAITING) == 1


async def test_old_jobs_are_cleaned(store: AsyncStore) -> None:
    """[17] [19]"""
    now = await now_of(store)
    for state in JobState:
        await aged(store, state, "old", now - MINUTE)
        await aged(store, state, "older", now - HOUR)
        await aged(store, state, "young", now)
    for cleaned, state in enumerate(JobState, 1):
        assert await store.clean(QUEUE, state, 30 * SECOND) == 2
        assert [each.name for each in await store.list_jobs(QUEUE, state)] == ["young"]
        assert sum((await store.get_job_counts(QUEUE)).values()) == 18 - 2 * cleaned


async def test_young_jobs_stay(store: AsyncStore) -> None:
    """[18] although they were created long ago."""
    now = await now_of(store)
    for state in AGED:
        made = job()
        made.created_at, made.state = now - HOUR, state
        made.completed_at = made.failed_at = now
        await save(store, made)
        assert await store.clean(QUEUE, state, MINUTE) == 0
        assert (await read(store, made)).state is state


async def test_a_job_without_an_instant_stays(store: AsyncStore) -> None:
    """Its end is not known, and its creation says nothing about it."""
    for state in AGED:
        made = await aged(store, state, "job", None)
        assert await store.clean(QUEUE, state, 0 * SECOND) == 0
        assert (await read(store, made)).state is state


@requires("movable_clock")
async def test_age_is_by_the_store_s_clock(store: AsyncStore, harness: StoreHarness) -> None:
    await completed(store)
    assert await store.clean(QUEUE, JobState.COMPLETED, MINUTE) == 0
    await harness.advance(MINUTE + MILLISECOND)
    assert await store.clean(QUEUE, JobState.COMPLETED, MINUTE) == 1


async def test_cleaning_can_be_bounded(store: AsyncStore) -> None:
    """W27"""
    now = await now_of(store)
    for n in range(5):
        await aged(store, JobState.COMPLETED, str(n), now - HOUR)
    assert await store.clean(QUEUE, JobState.COMPLETED, MINUTE, limit=2) == 2
    assert await store.count_jobs(QUEUE, JobState.COMPLETED) == 3
    assert await store.clean(QUEUE, JobState.COMPLETED, MINUTE, limit=9) == 3


async def test_cleaning_is_per_queue(store: AsyncStore) -> None:
    made = await aged(store, JobState.COMPLETED, "job", await now_of(store) - HOUR)
    assert await store.clean("elsewhere", JobState.COMPLETED, MINUTE) == 0
    assert (await read(store, made)).state is JobState.COMPLETED


async def test_many_jobs_are_cleaned_and_drained(store: AsyncStore) -> None:
    """In bounded steps, which nobody sees."""
    old = await now_of(store) - HOUR
    bulk = [job() for _ in range(1020)]
    for each in bulk[:510]:
        each.state, each.completed_at = JobState.COMPLETED, old
    await store.save_bulk(QUEUE, bulk)
    assert await store.clean(QUEUE, JobState.COMPLETED, MINUTE) == 510
    await store.drain(QUEUE)
    assert await store.list_queues() == []


async def test_an_obliterated_queue_is_gone(store: AsyncStore) -> None:
    """[74]"""
    await completed(store)
    await failed(store)
    await save_new(store, "waiting")
    await save_new(store, "delayed", delay=MINUTE)
    await save_new(store, "there", queue="elsewhere")
    await store.pause_job_name(QUEUE, "waiting")
    await store.pause_job_name("elsewhere", "there")
    await store.obliterate(QUEUE)
    assert await store.get_job_counts(QUEUE) == dict.fromkeys(JobState, 0)
    assert await store.get_paused_job_names(QUEUE) == []
    assert [info.name for info in await store.list_queues()] == ["elsewhere"]
    assert await store.get_paused_job_names("elsewhere") == ["there"]
    now = await now_of(store)
    for granularity in GRANULARITIES:
        assert await store.get_metrics(QUEUE, granularity, now - HOUR, now + HOUR) == []


async def test_a_running_queue_is_not_obliterated(store: AsyncStore) -> None:
    """[75]"""
    await leased(store)
    await save_new(store, "waiting")
    await store.pause_job_name(QUEUE, "waiting")
    before = await contents(store)
    with pytest.raises(QueueActive, match=r"(?i)active jobs exist") as refused:
        await store.obliterate(QUEUE)
    assert (refused.value.queue, refused.value.active) == (QUEUE, 1)
    assert await contents(store) == before
    assert await store.get_paused_job_names(QUEUE) == ["waiting"]


async def test_force_obliterates_a_running_queue(store: AsyncStore) -> None:
    """[76]"""
    made = await leased(store)
    await store.obliterate(QUEUE, force=True)
    assert await store.get_job(QUEUE, made.id) is None
    assert await store.get_active_count(QUEUE) == 0


async def test_obliterating_forgets_the_rate_limit(store: AsyncStore) -> None:
    """[85]"""
    limit = RateLimit(max=1, duration=MINUTE)
    await save_new(store, "a", "b")
    await take(store, rate_limit=limit)
    assert await fetch(store, rate_limit=limit) is None
    await store.obliterate(QUEUE, force=True)
    await save_new(store, "c")
    assert (await take(store, rate_limit=limit)).name == "c"


async def test_obliterating_nothing_is_fine(store: AsyncStore) -> None:
    await store.obliterate("unknown")
    await store.obliterate("unknown", force=True)


async def test_maintenance_publishes_nothing(store: AsyncStore) -> None:
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    await failed(store)
    await store.retry_jobs(QUEUE, JobState.FAILED)
    await store.pause_job_name(QUEUE, "job")
    await store.resume_job_name(QUEUE, "job")
    await store.drain(QUEUE)
    await store.obliterate(QUEUE)
    assert seen == []
