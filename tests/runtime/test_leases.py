"""Keeping leases, losing them, and getting back those of workers that died."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from oqron_sql import AsyncStore, Complete, Context, JobState
from oqron_sql.contract import EventType, Extension, Job, StoreEvent
from oqron_sql.runtime.attempts import Attempt
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.faults import Faulty
from tests.runtime.steps import (
    HOUR,
    MINUTE,
    QUEUE,
    SECOND,
    Gate,
    ended,
    in_state,
    queue_of,
    until,
    until_counted,
    worker_of,
    working,
)


async def test_a_lease_is_kept_while_a_handler_blocks(store: AsyncStore) -> None:
    """A handler that never awaits starves the loop, and not the heartbeat (X6)."""
    queue, worker = queue_of(store), worker_of(store, lease=0.9)
    taken: list[Any] = []

    async def sweep(until: float) -> None:
        async with contextlib.aclosing(other_of(store)) as others:
            async for other in others:
                while time.monotonic() < until:
                    taken.extend(await other.recover_lost(QUEUE))
                    await asyncio.sleep(0.05)

    @worker.handler()
    async def blocks(context: Context[Any]) -> str:
        end = time.monotonic() + 1.8
        sweeper = threading.Thread(target=lambda: asyncio.run(sweep(end)))
        sweeper.start()
        sweeper.join()
        return "done"

    async with working(worker):
        job = await queue.add("job", PAYLOAD)
        assert await job.result(10) == "done"
    found = await ended(store, job.id)
    assert (taken, found.lost_count, found.lease) == ([], 0, 1)


async def other_of(store: Any) -> AsyncGenerator[AsyncStore, None]:
    """Yield a store on the same data, for the event loop of this thread."""
    other = store.twin()
    await other.connect()
    yield other
    await other.disconnect()


async def test_without_a_twin_the_heart_beats_in_the_loop(store: AsyncStore) -> None:
    faulty = Faulty(store)
    faulty.twinless = True
    queue, worker, gate = queue_of(store), worker_of(faulty, lease=0.6), Gate()
    worker.handler()(gate)
    async with working(worker):
        job = await queue.add("job", "done")
        await until(lambda: faulty.calls["extend_locks"] >= 2)
        gate.open()
        assert await job.result(10) == "done"


async def test_one_statement_keeps_all_leases(store: AsyncStore) -> None:
    """Not one per job; and none at all for jobs that are soon done."""
    faulty = Faulty(store)
    queue, worker, gate = queue_of(store), worker_of(faulty, lease=1.2, concurrency=20), Gate()
    worker.handler("slow")(gate)
    worker.handler("quick")(lambda context: None)
    async with working(worker):
        for job in await queue.add_bulk([("quick", None)] * 20):
            await job.result(10)
        assert faulty.calls["extend_locks"] == 0
        await queue.add_bulk([("slow", n) for n in range(20)])
        await gate.entered(20)
        await until(lambda: faulty.calls["extend_locks"] >= 2)
        gate.open()
    assert faulty.calls["extend_locks"] < 20
    assert faulty.calls["check_locks"] < 40


async def test_a_lost_lease_stops_the_handler(
    store: AsyncStore, harness: StoreHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else has the job; what this one would say of it is not even tried."""
    queue, worker, gate = queue_of(store), worker_of(store, concurrency=1), Gate()
    worker.handler()(gate)
    other = await harness.another()
    async with working(worker):
        job = await queue.add("job", PAYLOAD, attempts=5)
        await gate.entered()
        await harness.advance(MINUTE)
        await other.recover_lost(QUEUE)
        (mine,) = await other.fetch_jobs(QUEUE, "other", HOUR, 1)
        await until(lambda: gate.stopped)
        await other.finish_jobs(QUEUE, [Complete(mine, "by another")])
        assert await job.result(10) == "by another"
    assert "its lease is lost" in caplog.text
    found = await ended(store, job.id)
    assert (found.attempts_made, found.lost_count, found.lease) == (0, 1, 2)


async def test_a_result_that_comes_too_late_is_not_recorded(
    store: AsyncStore, harness: StoreHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that hears nothing cannot finish a job that another has."""
    queue, worker = queue_of(store), worker_of(store, concurrency=1)
    other = await harness.another()

    @worker.handler()
    async def deaf(context: Context[Any]) -> str:
        await harness.advance(MINUTE)
        await other.recover_lost(QUEUE)
        await other.fetch_jobs(QUEUE, "other", HOUR, 1)
        context.log("nobody will read this")
        return "too late"

    async with working(worker):
        job = await queue.add("job", PAYLOAD)
        await until(lambda: "had lost its lease" in caplog.text)
    found = await in_state(store, job.id, JobState.ACTIVE)
    assert (found.locked_by, found.returnvalue, found.logs) == ("other", None, ())


@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "hangs"])
async def test_who_cannot_extend_stops_before_the_lease_ends(
    store: AsyncStore, harness: StoreHarness, hangs: bool
) -> None:
    """While no answer comes, the handler is told to stop (X7); later the worker goes on."""
    faulty = Faulty(store)
    gate = Gate()
    queue, worker = queue_of(store), worker_of(faulty, lease=1.2)
    worker.handler()(gate)
    async with working(worker):
        job = await queue.add("job", PAYLOAD)
        await gate.entered()
        started = time.monotonic()
        faulty.broken = {"extend_locks", "check_locks"}
        faulty.hanging = hangs
        await until(lambda: gate.stopped)
        found = await job.get()
        assert found is not None
        assert found.lock_until is not None
        assert time.monotonic() - started < 1.2
        faulty.broken = set()
        gate.open()
        await harness.advance(MINUTE)  # its lease ends, and somebody takes it back
        assert await job.result(10) == PAYLOAD
    assert (await ended(store, job.id)).lost_count == 1


async def test_jobs_of_a_dead_worker_come_back(
    store: AsyncStore, harness: StoreHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """And one that kills its workers ends as failed, with a reason (J6)."""
    queue, worker = queue_of(store), worker_of(store, max_lost=1)
    worker.handler()(lambda context: "done")
    told: list[StoreEvent] = []
    store.subscribe(QUEUE, told.append)

    async def die() -> None:
        await store.fetch_jobs(QUEUE, "dead", MINUTE, 1)
        await harness.advance(MINUTE + SECOND)

    poison = await queue.add("poison", PAYLOAD)
    await die()
    await store.recover_lost(QUEUE)
    await die()
    async with working(worker):
        found = await ended(store, poison.id)
        assert (found.state, found.failed_reason) == (JobState.FAILED, "worker lost 2 times")
    assert "by worker dead, for the 2. time: it has failed" in caplog.text
    kinds = {(event.type, event.job_id) for event in told}
    assert {(EventType.JOB_STALLED, poison.id), (EventType.JOB_FAILED, poison.id)} <= kinds
    innocent = await queue.add("innocent", PAYLOAD)
    await die()
    async with working(worker):
        assert await innocent.result(10) == "done"
    assert (await ended(store, innocent.id)).lost_count == 1


async def test_a_failing_heartbeat_goes_on(store: AsyncStore) -> None:
    faulty = Faulty(store)
    queue, worker, gate = queue_of(store), worker_of(faulty, lease=1.5), Gate()
    worker.handler()(gate)
    async with working(worker):
        job = await queue.add("job", "done")
        await gate.entered()
        faulty.broken = {"extend_locks", "check_locks"}
        await until(lambda: faulty.failures >= 2)
        faulty.broken = set()
        extended = faulty.calls["extend_locks"]
        await until(lambda: faulty.calls["extend_locks"] > extended)
        gate.open()
        assert await job.result(10) == "done"
    assert gate.stopped == []


async def test_a_job_that_was_long_in_coming_is_extended_before_it_begins(
    store: AsyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the worker's reckoning, what is left of its lease is not enough to begin."""
    queue, worker, gate = queue_of(store), worker_of(store, lease=1.2), Gate()
    worker.handler()(gate)
    fetch = store.fetch_jobs

    async def fetch_late(*asked: Any) -> list[Job]:
        await asyncio.sleep(1)  # most of the lease: what is tried is a fetch that takes so long
        return await fetch(*asked)

    job = await queue.add("job", PAYLOAD)
    monkeypatch.setattr(store, "fetch_jobs", fetch_late)
    async with working(worker):
        await gate.entered()
        (attempt,) = gate.inside
        assert isinstance(attempt, Attempt)
        assert attempt.lease_end - time.monotonic() > 0.6
        gate.open()
        assert await job.result(10) == PAYLOAD
    assert gate.stopped == []
    assert (await ended(store, job.id)).lost_count == 0


async def test_of_jobs_that_were_long_in_coming_only_those_begin_that_are_held(
    store: AsyncStore, harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was taken back meanwhile, and another has it."""
    queue, worker, gate = queue_of(store), worker_of(store, lease=1.2), Gate()
    worker.handler()(gate)
    other, fetch = await harness.another(), store.fetch_jobs
    theirs: list[Job] = []

    async def answered_late(*asked: Any) -> list[Job]:
        found = await fetch(*asked)
        if found and not theirs:
            await other.update_job(QUEUE, found[0].id, {"state": JobState.WAITING})
            theirs.extend(await other.fetch_jobs(QUEUE, "other", HOUR, 1))
            await asyncio.sleep(0.8)
        return found

    await queue.add_bulk([("job", 1), ("job", 2)])
    monkeypatch.setattr(store, "fetch_jobs", answered_late)
    async with working(worker):
        await gate.entered()
        assert [context.id for context in gate.inside] != [theirs[0].id]
        gate.open()
        await until_counted(store, 1)
        assert gate.most == 1


async def test_a_lease_that_is_skipped_is_not_taken_for_extended(
    store: AsyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its attempt is stopped in time, and no other."""
    faulty = Faulty(store)
    faulty.twinless = True
    queue, worker, gate = queue_of(store), worker_of(faulty, lease=1.2, concurrency=2), Gate()
    worker.handler()(gate)
    held, other = await queue.add_bulk([("job", 1), ("job", 2)])
    extend = store.extend_locks

    async def skipping(*asked: Any) -> list[Extension]:
        return [replace(each, skipped=each.job_id == held.id) for each in await extend(*asked)]

    monkeypatch.setattr(store, "extend_locks", skipping)
    async with working(worker):
        await until(lambda: gate.stopped)
        extended = faulty.calls["extend_locks"]
        await until(lambda: faulty.calls["extend_locks"] > extended + 1)
        assert gate.stopped == [held.id]
        gate.open()
        assert await other.result(10) == 2
    assert (await ended(store, other.id)).lost_count == 0
