"""Waiting for a job: nobody waits for ever for what has happened."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from oqron_sql import AsyncStore, BlockingQueue, Complete, JobState, MemoryStore, Queue
from oqron_sql.contract import EventType, Job, StoreEvent
from oqron_sql.errors import JobFailed, JobNotFound
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.faults import Faulty
from tests.runtime.steps import HOUR, QUEUE, Gate, queue_of, until, worker_of, working


async def finish(store: AsyncStore, value: Any = None) -> None:
    (job,) = await store.fetch_jobs(QUEUE, "worker", HOUR, 1)
    await store.finish_jobs(QUEUE, [Complete(job, value)])


async def test_a_job_that_ended_before_is_seen(store: AsyncStore) -> None:
    job = await queue_of(store).add("job", PAYLOAD)
    await finish(store, {"sum": 3})
    assert await job.result(1) == {"sum": 3}
    assert await job.result() == {"sum": 3}


async def test_a_job_that_ends_in_between_is_seen(store: AsyncStore) -> None:
    """After the look and before anybody could be told: the event has come already."""
    job = await queue_of(EndsMeanwhile(store)).add("job", PAYLOAD)
    started = time.monotonic()
    assert await job.result(5) == "just now"
    assert time.monotonic() - started < 0.5


class EndsMeanwhile(Faulty):
    """A store on which a job ends just after it was looked at."""

    async def get_job(self, queue: str, job_id: str) -> Job | None:
        found: Job | None = await self._store.get_job(queue, job_id)
        if found is not None and found.state is JobState.WAITING:
            await finish(self._store, "just now")
        return found


async def test_a_job_that_ends_without_a_word_is_seen(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """It was finished by another process, whose events never come here."""
    job = await queue_of(store).add("job", PAYLOAD)
    waiting = asyncio.create_task(job.result(10))
    await until(lambda: store.has_subscribers(QUEUE))
    await finish(await harness.another(), 42)
    assert await waiting == 42
    assert not store.has_subscribers(QUEUE)


async def test_an_end_that_was_undone_is_not_told(store: AsyncStore, harness: StoreHarness) -> None:
    """It was retried, and seen alive; how it ended then in another process, nobody here heard."""
    job = await queue_of(store).add("job", PAYLOAD, remove_on_complete=True)
    looking = Faulty(store)
    waiting = asyncio.create_task(queue_of(looking).handle(job.id).result(10))
    await until(lambda: looking.calls["get_job"] > 0)
    failed = StoreEvent(
        type=EventType.JOB_FAILED, queue_name=QUEUE, job_id=job.id, data="first time"
    )
    await store.publish(failed)
    seen = looking.calls["get_job"] + 1
    await until(lambda: looking.calls["get_job"] > seen)
    await finish(await harness.another(), "fine")
    with pytest.raises(JobNotFound):
        await waiting


async def test_what_ends_badly_is_told(store: AsyncStore, harness: StoreHarness) -> None:
    queue = queue_of(store)
    job = await queue.add("job", PAYLOAD)
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"of queue 'mail' did not end within 0\.05 s"):
        await job.result("50 ms")
    assert 0.05 <= time.monotonic() - started < 1
    await job.cancel()
    with pytest.raises(JobFailed, match="failed: Job cancelled") as failed:
        await job.result(1)
    assert (failed.value.queue, failed.value.job_id) == (QUEUE, job.id)
    await queue.remove(job.id)
    with pytest.raises(JobNotFound):
        await job.result(1)
    assert not store.has_subscribers(QUEUE)


async def test_who_waits_may_be_cancelled(store: AsyncStore) -> None:
    job = await queue_of(store).add("job", PAYLOAD)
    waiting = asyncio.create_task(job.result())
    await until(lambda: store.has_subscribers(QUEUE))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not store.has_subscribers(QUEUE)


async def test_every_change_is_observed(store: AsyncStore) -> None:
    queue, worker, gate = queue_of(store), worker_of(store), Gate()
    worker.handler()(gate)
    job = await queue.add("job", "done")
    seen: list[JobState] = []

    async def observe() -> None:
        async for found in job.observe():
            seen.append(found.state)
            if found.state is JobState.ACTIVE:
                gate.open()

    observing = asyncio.create_task(observe())
    await until(lambda: seen)
    async with working(worker):
        await asyncio.wait_for(observing, 10)
    assert seen == [JobState.WAITING, JobState.ACTIVE, JobState.COMPLETED]
    await queue.remove(job.id)
    assert [found async for found in queue.observe(job.id)] == []
    assert not store.has_subscribers(QUEUE)


def test_a_blocking_caller_waits_as_well() -> None:
    store = MemoryStore()
    queue = BlockingQueue(QUEUE, store)
    job, other = queue.add("job", PAYLOAD), queue.add("other")
    found: list[Any] = []

    def wait() -> None:
        found.append(job.result(10))
        found.extend(each.state for each in other.observe())

    waiting = threading.Thread(target=wait)
    waiting.start()
    for value in ("done", "done too"):
        (leased,) = store.fetch_jobs(QUEUE, "worker", HOUR, 1)
        store.finish_jobs(QUEUE, [Complete(leased, value)])
    waiting.join(10)
    assert found[0] == "done"
    assert found[-1] is JobState.COMPLETED
    with pytest.raises(TimeoutError):
        queue.add("job", PAYLOAD).result(0.01)
    with pytest.raises(JobNotFound):
        queue.handle("unknown").result(1)
    assert not store.has_subscribers(QUEUE)


async def test_the_queue_can_be_on_a_store_of_ones_own(store: AsyncStore) -> None:
    """It need not be one of ours: whatever has the methods will do."""
    faulty = Faulty(store)
    queue = Queue(QUEUE, faulty)
    job = await queue.add("job", PAYLOAD)
    await finish(store, 1)
    assert await job.result(1) == 1
    assert faulty.calls["get_job"] >= 1
