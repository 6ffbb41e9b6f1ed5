"""Ended jobs that are to run once more."""

from __future__ import annotations

import pytest

from oqron_sql.contract import AsyncStore, Fail, JobState, Retry
from oqron_sql.errors import InvalidInput
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    QUEUE,
    completed,
    contents,
    failed,
    finish,
    job,
    leased,
    read,
    save,
    save_new,
    take,
    take_names,
)


async def test_failed_jobs_are_retried(store: AsyncStore) -> None:
    """[77]"""
    made = [await failed(store, "a"), await failed(store, "b")]
    (waiting,) = await save_new(store, "waiting")
    untouched = await read(store, waiting)
    assert await store.retry_jobs(QUEUE, JobState.FAILED) == 2
    for each in made:
        found = await read(store, each)
        assert (found.state, found.attempts_made, found.progress) == (JobState.WAITING, 0, 0)
        assert (found.returnvalue, found.failed_reason, found.stacktrace) == (None, None, ())
        assert (found.failed_at, found.completed_at, found.processed_at) == (None, None, None)
        assert (found.seq, found.lease) == (each.seq, each.lease)
    assert await read(store, waiting) == untouched


async def test_completed_jobs_are_retried(store: AsyncStore) -> None:
    """[78]"""
    made = await completed(store, "job", {"x": 1})
    assert await store.retry_jobs(QUEUE, JobState.COMPLETED) == 1
    found = await read(store, made)
    assert (found.state, found.completed_at, found.returnvalue) == (JobState.WAITING, None, None)
    assert (await take(store)).lease == 2


async def test_only_the_asked_state_is_retried(store: AsyncStore) -> None:
    """[79]"""
    await completed(store)
    await save_new(store, "waiting")
    await save_new(store, "delayed", delay=MINUTE)
    await completed(store, queue="elsewhere")
    before = await contents(store)
    assert await store.retry_jobs(QUEUE, JobState.FAILED) == 0
    assert await contents(store) == before
    assert await store.retry_jobs(QUEUE, JobState.COMPLETED) == 1
    assert await store.count_jobs("elsewhere", JobState.COMPLETED) == 1


async def test_only_finished_jobs_can_be_retried(store: AsyncStore) -> None:
    live = set(JobState) - {JobState.COMPLETED, JobState.FAILED}
    for state in live:
        made = job()
        made.state = state
        await save(store, made)
    before = await contents(store)
    for state in live:
        with pytest.raises(InvalidInput):
            await store.retry_jobs(QUEUE, state)
    assert await contents(store) == before


async def test_a_retried_job_is_no_longer_cancelled(store: AsyncStore) -> None:
    """W8: upstream keeps the mark, and the next attempt is cancelled as well."""
    made = await leased(store)
    await store.cancel_job(QUEUE, made.id)
    await store.update_job(QUEUE, made.id, {"discarded": True})
    await finish(store, Fail(made, "Job cancelled"))
    assert await store.retry_jobs(QUEUE, JobState.FAILED) == 1
    found = await read(store, made)
    assert (found.cancelled_at, found.discarded) == (None, False)
    again = await take(store)
    (told,) = await store.extend_locks(QUEUE, [again], MINUTE)
    assert not told.cancelled


async def test_a_retried_job_keeps_its_history(store: AsyncStore) -> None:
    made = await leased(store)
    await store.append_logs(QUEUE, made.id, ["line"])
    await store.update_job(QUEUE, made.id, {"progress": 80})
    await finish(store, Fail(made, "boom", "trace"))
    before = await read(store, made)
    await store.retry_jobs(QUEUE, JobState.FAILED)
    found = await read(store, made)
    assert (found.logs, found.attempt_logs) == (("line",), before.attempt_logs)
    assert (found.lock_until, found.locked_by, found.delay_until) == (None, None, None)


@requires("movable_clock")
async def test_a_retried_job_starts_afresh(store: AsyncStore, harness: StoreHarness) -> None:
    (made,) = await save_new(store, "poison")
    for _ in range(2):
        await take(store)
        await harness.advance(HOUR)
        await store.recover_lost(QUEUE, max_lost=1)
    assert (await read(store, made)).state is JobState.FAILED
    await store.retry_jobs(QUEUE, JobState.FAILED)
    assert (await read(store, made)).lost_count == 0
    await take(store)
    await harness.advance(HOUR)
    (told,) = await store.recover_lost(QUEUE, max_lost=1)
    assert told.state is JobState.WAITING


async def test_a_retried_job_keeps_its_place(store: AsyncStore) -> None:
    await failed(store, "old")
    await save_new(store, "young")
    await store.retry_jobs(QUEUE, JobState.FAILED)
    assert await take_names(store, 2) == ["old", "young"]


async def test_a_delay_does_not_outlive_a_retry(store: AsyncStore) -> None:
    made = await leased(store)
    await finish(store, Retry(made, "boom", MINUTE))
    await store.update_job(QUEUE, made.id, {"state": JobState.FAILED})
    await store.retry_jobs(QUEUE, JobState.FAILED)
    assert (await read(store, made)).delay_until is None
    assert await store.get_next_delayed_timestamp(QUEUE) is None


async def test_many_jobs_are_retried(store: AsyncStore) -> None:
    """In bounded steps, which nobody sees."""
    bulk = [job() for _ in range(600)]
    for each in bulk:
        each.state, each.failed_reason = JobState.FAILED, "boom"
    await store.save_bulk(QUEUE, bulk)
    assert await store.retry_jobs(QUEUE, JobState.FAILED) == 600
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 600
