"""Recording how leased jobs ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from oqron_sql.contract import (
    AsyncStore,
    AttemptRecord,
    Complete,
    Fail,
    JobState,
    Outcome,
    Retry,
    StoreEvent,
)
from oqron_sql.errors import InvalidInput, PayloadError
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    QUEUE,
    WORKER,
    completed,
    contents,
    finish,
    job,
    leased,
    now_of,
    read,
    save_new,
    states,
    take,
    take_names,
)

NOTHING = timedelta(0)


async def test_a_completed_job(store: AsyncStore) -> None:
    made = await leased(store)
    before = await now_of(store)
    settled = await finish(store, Complete(made, {"sum": 3}))
    assert (settled.job_id, settled.lease, settled.state) == (made.id, 1, JobState.COMPLETED)
    assert not settled.lost
    found = await read(store, made)
    assert (found.state, found.returnvalue) == (JobState.COMPLETED, {"sum": 3})
    assert (found.locked_by, found.lock_until) == (None, None)
    assert (found.attempts_made, found.failed_reason, found.lease) == (0, None, 1)
    assert found.processed_at == made.processed_at
    assert found.completed_at is not None
    assert before <= found.completed_at <= await now_of(store)
    (record,) = found.attempt_logs
    assert record.ended_at is not None
    assert before <= record.ended_at <= await now_of(store)
    assert record == AttemptRecord(
        attempt=1,
        started_at=made.processed_at,
        ended_at=record.ended_at,
        status="completed",
    )


async def test_a_failed_job(store: AsyncStore) -> None:
    made = await leased(store)
    before = await now_of(store)
    settled = await finish(store, Fail(made, "boom", "at line 7"))
    assert (settled.job_id, settled.lease, settled.state) == (made.id, 1, JobState.FAILED)
    found = await read(store, made)
    assert (found.state, found.failed_reason) == (JobState.FAILED, "boom")
    assert (found.locked_by, found.lock_until) == (None, None)
    assert (found.attempts_made, found.stacktrace) == (1, ("at line 7",))
    assert found.failed_at is not None
    assert before <= found.failed_at <= await now_of(store)
    (record,) = found.attempt_logs
    assert record.ended_at is not None
    assert before <= record.ended_at <= await now_of(store)
    assert record == AttemptRecord(
        attempt=1,
        started_at=made.processed_at,
        ended_at=record.ended_at,
        status="failed",
        error="boom",
        stacktrace="at line 7",
    )


async def test_a_job_retried_at_once_keeps_its_place(store: AsyncStore) -> None:
    await save_new(store, "first", "second")
    made = await take(store)
    settled = await finish(store, Retry(made, "boom"))
    assert settled.state is JobState.WAITING
    found = await read(store, made)
    assert (found.state, found.attempts_made, found.failed_reason) == (JobState.WAITING, 1, "boom")
    assert (found.locked_by, found.lock_until, found.stacktrace) == (None, None, ())
    assert (found.delay_until, found.failed_at) == (None, None)
    (record,) = found.attempt_logs
    assert (record.attempt, record.status, record.error) == (1, "failed", "boom")
    assert await take_names(store, 2) == ["first", "second"]


async def test_a_job_retried_later_is_delayed(store: AsyncStore) -> None:
    made = await leased(store)
    before = await now_of(store)
    settled = await finish(store, Retry(made, "boom", HOUR, "trace"))
    assert settled.state is JobState.DELAYED
    found = await read(store, made)
    assert (found.state, found.stacktrace) == (JobState.DELAYED, ("trace",))
    assert found.delay_until is not None
    assert before + HOUR <= found.delay_until <= await now_of(store) + HOUR
    assert await store.get_next_delayed_timestamp(QUEUE) == found.delay_until


async def test_every_attempt_is_recorded(store: AsyncStore) -> None:
    made = await leased(store)
    await finish(store, Retry(made, "one", stacktrace="trace 1"))
    made = await take(store, "worker-2")
    await finish(store, Retry(made, "two", stacktrace="trace 2"))
    made = await take(store)
    await finish(store, Complete(made, 42))
    found = await read(store, made)
    assert [(r.attempt, r.status, r.error) for r in found.attempt_logs] == [
        (1, "failed", "one"),
        (2, "failed", "two"),
        (3, "completed", None),
    ]
    assert found.stacktrace == ("trace 1", "trace 2")
    assert (found.attempts_made, found.failed_reason) == (2, None)


@requires("movable_clock")
async def test_completing_forgets_an_old_delay(store: AsyncStore, harness: StoreHarness) -> None:
    made = await leased(store)
    await finish(store, Retry(made, "boom", MINUTE))
    await harness.advance(HOUR)
    assert await store.promote_delayed_jobs(QUEUE) == 1
    made = await take(store)
    await finish(store, Complete(made))
    found = await read(store, made)
    assert (found.delay_until, found.failed_reason) == (None, None)


async def test_many_jobs_end_at_once(store: AsyncStore) -> None:
    await save_new(store, *"abcdef")
    held = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 6)
    await store.remove_job(QUEUE, held[4].id)
    await store.update_job(QUEUE, held[5].id, {"state": JobState.FAILED})
    outcomes: list[Outcome] = [
        Fail(held[1], "boom"),
        Complete(held[0], "a"),
        Retry(held[2], "again"),
        Retry(held[3], "later", MINUTE),
        Complete(held[4]),
        Complete(held[5]),
    ]
    settled = await store.finish_jobs(QUEUE, outcomes)
    assert [(each.job_id, each.lease, each.state) for each in settled] == [
        (held[1].id, 1, JobState.FAILED),
        (held[0].id, 1, JobState.COMPLETED),
        (held[2].id, 1, JobState.WAITING),
        (held[3].id, 1, JobState.DELAYED),
        (held[4].id, 1, None),
        (held[5].id, 1, None),
    ]
    assert [each.lost for each in settled] == [False] * 4 + [True] * 2
    assert await states(store, held[:4]) == [
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.WAITING,
        JobState.DELAYED,
    ]
    assert await store.finish_jobs(QUEUE, []) == []


async def test_a_job_that_never_was_leased_cannot_end(store: AsyncStore) -> None:
    (waiting,) = await save_new(store, "job")
    unsaved = job()
    before = await contents(store)
    settled = await store.finish_jobs(QUEUE, [Complete(waiting), Complete(unsaved)])
    assert [each.lost for each in settled] == [True, True]
    assert await contents(store) == before


async def test_one_bad_value_refuses_all_outcomes(store: AsyncStore) -> None:
    await save_new(store, "a", "b")
    a, b = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 2)
    before = await contents(store)
    with pytest.raises(PayloadError):
        await store.finish_jobs(QUEUE, [Complete(a, 1), Complete(b, float("inf"))])
    assert await contents(store) == before


async def test_an_outcome_of_another_queue_is_refused(store: AsyncStore) -> None:
    here, there = await leased(store), await leased(store, queue="elsewhere")
    before = await contents(store)
    with pytest.raises(InvalidInput):
        await store.finish_jobs(QUEUE, [Complete(here), Complete(there)])
    assert await contents(store) == before
    assert (await read(store, there)).state is JobState.ACTIVE


async def test_storing_a_failure_never_fails(store: AsyncStore) -> None:
    """W3"""
    nasty = "NUL \0, half a pair \ud83d, '); DROP TABLE jobs; -- %s {} \\ 😀"
    for outcome in (Fail, Retry):
        made = await leased(store)
        assert not (await finish(store, outcome(made, nasty, stacktrace=nasty))).lost
        found = await read(store, made)
        (trace,) = found.stacktrace
        (record,) = found.attempt_logs
        for text in (found.failed_reason, trace, record.error, record.stacktrace):
            assert text is not None
            assert "\0" not in text
            assert "\ud83d" not in text
            assert text.endswith("'); DROP TABLE jobs; -- %s {} \\ 😀")
        await store.drain(QUEUE)


@requires("large_text")
async def test_an_endless_reason_is_cut(store: AsyncStore) -> None:
    made = await leased(store)
    await finish(store, Fail(made, "é" * 100_000, "é" * 100_000))
    found = await read(store, made)
    assert found.failed_reason is not None
    assert 60_000 < len(found.failed_reason) < 100_000
    assert 60_000 < len(found.stacktrace[0]) < 100_000


async def test_a_cancelled_job_can_end(store: AsyncStore) -> None:
    made = await leased(store)
    await store.cancel_job(QUEUE, made.id)
    assert (await finish(store, Fail(made, "Job cancelled"))).state is JobState.FAILED
    assert (await read(store, made)).cancelled_at is not None


async def test_a_lease_that_ran_out_can_still_end(store: AsyncStore) -> None:
    made = await leased(store)
    await store.extend_lock(QUEUE, made.id, NOTHING)
    assert (await finish(store, Complete(made))).state is JobState.COMPLETED


async def test_finishing_publishes_nothing(store: AsyncStore) -> None:
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    await completed(store)
    assert seen == []
