"""Attempts that have to end before they are done: timed out, cancelled, or no longer ours."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql import AsyncMemoryStore, AsyncStore, Context, JobState
from oqron_sql.contract import Backoff, Complete, Fail, Outcome, new_job
from oqron_sql.errors import Interrupted, JobFailed
from oqron_sql.runtime import Handlers, Stop, Worker
from oqron_sql.runtime.floor import Floor
from oqron_sql.runtime.notes import Notebook
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.steps import QUEUE, Gate, ended, queue_of, until, worker_of, working

WITHIN = 1.3
"""Seconds in which a cancellation reaches its handler, and what a busy machine adds."""


def spin(context: Context[Any]) -> None:
    """Run Python code for ever."""
    while True:
        pass


async def test_a_timeout_ends_the_attempt(store: AsyncStore) -> None:
    """It is over when the next one begins: the two never run side by side (W16)."""
    queue, worker = queue_of(store), worker_of(store)
    running: list[int] = []

    @worker.handler("awaited")
    async def awaited(context: Context[Any]) -> None:
        running.append(context.attempt)
        assert len(running) == 1
        try:
            await asyncio.sleep(60)
        finally:
            running.remove(context.attempt)

    worker.handler("in a thread")(spin)
    async with working(worker):
        for name in ("awaited", "in a thread"):
            started = time.monotonic()
            job = await queue.add(name, timeout=0.1, attempts=2)
            with pytest.raises(JobFailed, match=r"timed out after 0\.1 s"):
                await job.result(10)
            assert time.monotonic() - started >= 0.2
            assert len((await ended(store, job.id)).attempt_logs) == 2


async def test_who_is_in_time_is_not_stopped(store: AsyncStore) -> None:
    queue, worker = queue_of(store), worker_of(store)
    worker.handler()(lambda context: context.data)
    async with working(worker):
        jobs = await queue.add_bulk([("job", n) for n in range(50)], timeout="1 minute")
        assert [await job.result(10) for job in jobs] == list(range(50))


async def test_a_timeout_ends_a_batch(store: AsyncStore) -> None:
    """The shortest time of its jobs is that of the batch."""
    queue, worker = queue_of(store), worker_of(store)

    @worker.batch_handler("many", size=3)
    async def many(contexts: Sequence[Context[Any]]) -> None:
        await asyncio.sleep(60)

    first, second = await queue.add("many", PAYLOAD, timeout=0.1), await queue.add("many", PAYLOAD)
    async with working(worker):
        assert (await ended(store, first.id)).failed_reason == "timed out after 0.1 s"
        found = await ended(store, second.id)
        assert found.failed_reason == "timed out with another job of its batch"


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
async def test_a_cancellation_reaches_its_handler(
    store: AsyncStore, harness: StoreHarness, told: bool
) -> None:
    """At once within the process, within a second from elsewhere."""
    queue, worker, gate = queue_of(store), worker_of(store), Gate()
    worker.handler("awaited")(gate)
    began = threading.Event()

    @worker.handler("in a thread")
    def in_a_thread(context: Context[Any]) -> None:
        began.set()
        spin(context)

    canceller = queue_of(store if told else await harness.another())
    async with working(worker):
        for name in ("awaited", "in a thread"):
            job = await queue.add(name, attempts=3)
            await (gate.entered() if name == "awaited" else until(began.is_set))
            started = time.monotonic()
            assert await canceller.cancel(job.id) is True
            found = await ended(store, job.id)
            assert time.monotonic() - started < (0.5 if told else WITHIN)
            assert (found.state, found.failed_reason) == (JobState.FAILED, "Job cancelled")
        assert len(gate.stopped) == 1


async def test_a_cancelled_handler_may_clean_up(store: AsyncStore) -> None:
    """It is told once, and left alone."""
    queue, worker = queue_of(store), worker_of(store, lease=1)
    told: list[Stop | None] = []
    cleaned = asyncio.Event()
    gate = Gate()

    @worker.handler()
    async def careful(context: Context[Any]) -> str:
        try:
            await gate(context)
        except asyncio.CancelledError:
            told.append(context.stop)
            await asyncio.sleep(0.5)  # the next looks at its lease find it cancelled as well
            cleaned.set()
            raise
        return "never"

    async with working(worker):
        job = await queue.add("job", PAYLOAD)
        await gate.entered()
        await job.cancel()
        assert (await ended(store, job.id)).failed_reason == "Job cancelled"
    assert (told, cleaned.is_set()) == ([Stop.CANCELLED], True)


async def test_a_handler_that_is_done_anyway_is_done(store: AsyncStore) -> None:
    queue, worker, gate = queue_of(store), worker_of(store), Gate()

    @worker.handler()
    async def stubborn(context: Context[Any]) -> str:
        try:
            await gate(context)
        except asyncio.CancelledError:
            return "done all the same"
        return "never"

    async with working(worker):
        job = await queue.add("job", PAYLOAD)
        await gate.entered()
        await job.cancel()
        assert await job.result(10) == "done all the same"


async def test_a_thread_may_look_for_itself(store: AsyncStore) -> None:
    """`check` where an exception out of nowhere would be unwelcome; cleaning up is possible."""
    queue, worker = queue_of(store), worker_of(store)
    cleaned = threading.Event()

    @worker.handler()
    def careful(context: Context[Any]) -> None:
        try:
            while True:
                context.check()
                time.sleep(0.01)
        except Interrupted:
            cleaned.set()
            raise

    async with working(worker):
        job = await queue.add("job", PAYLOAD, timeout=0.1)
        with pytest.raises(JobFailed, match="timed out"):
            await job.result(10)
    assert cleaned.is_set()


async def test_a_job_that_is_cancelled_before_it_begins_never_does(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """Whether it waits in the queue or, leased already, for a slot of the worker."""
    queue, gate = queue_of(store), Gate()
    worker = worker_of(store, concurrency=1)
    worker.handler("slow")(gate)
    quick: list[int] = []

    @worker.batch_handler("quick", size=10)
    async def note(contexts: Sequence[Context[int]]) -> None:
        quick.extend(each.data for each in contexts)

    async with working(worker):
        for warm_up in await queue.add_bulk([("quick", -1)] * 3):
            await warm_up.result(10)
        _, *jobs = await queue.add_bulk([("slow", None), *(("quick", n) for n in range(5))])
        await gate.entered()
        # As many as a batch may have were leased, for the only slot.
        assert (await queue.counts())[JobState.ACTIVE] == 6
        assert await jobs[2].cancel() is True
        await queue.cancel((await queue.schedule("1 hour", "quick", 99)).id)
        gate.open()
        for n, job in enumerate(jobs):
            state = JobState.FAILED if n == 2 else JobState.COMPLETED
            assert (await ended(store, job.id)).state is state
    assert sorted(quick) == [-1, -1, -1, 0, 1, 3, 4]


async def test_one_of_a_batch_is_cancelled(store: AsyncStore) -> None:
    """The others go on; the handler sees it, and decides."""
    queue, worker, go = queue_of(store), worker_of(store), asyncio.Event()
    inside: list[Context[Any]] = []

    @worker.batch_handler("many", size=3)
    async def many(contexts: Sequence[Context[Any]]) -> list[Any]:
        inside.extend(contexts)
        await go.wait()
        return [asyncio.CancelledError() if each.stop else "done" for each in contexts]

    jobs = await queue.add_bulk([("many", n) for n in range(3)])
    async with working(worker):
        await until(lambda: len(inside) == 3)
        await jobs[1].cancel()
        await until(lambda: inside[1].stop)
        go.set()
        found = [await ended(store, job.id) for job in jobs]
    assert [job.failed_reason for job in found] == [None, "Job cancelled", None]


async def test_what_is_retried_waits_its_time(store: AsyncStore, harness: StoreHarness) -> None:
    """A timeout is a failure like any other."""
    queue, worker = queue_of(store), worker_of(store)

    @worker.handler()
    async def sleeps(context: Context[Any]) -> str:
        await asyncio.sleep(60 if context.attempt == 1 else 0)
        return "in time"

    async with working(worker):
        backoff = Backoff(delay=timedelta(hours=1))
        job = await queue.add("job", PAYLOAD, timeout=0.1, attempts=2, backoff=backoff)

        async def delayed() -> bool:
            return (await queue.counts())[JobState.DELAYED] == 1

        await until(delayed)
        await harness.advance(timedelta(hours=1, seconds=1))
        assert await job.result(10) == "in time"


def test_the_queue_of_a_worker_is_known() -> None:
    worker = Worker(QUEUE, AsyncMemoryStore(), worker_id="worker-7")
    assert (worker.queue, worker.id) == (QUEUE, "worker-7")
    assert repr(worker) == "<Worker worker-7 of 'mail'>"


async def test_a_job_that_is_stopped_as_it_begins_says_its_end(store: AsyncStore) -> None:
    """Its task has not had its first turn yet: it must not be cancelled out of the world."""
    ends: list[Outcome] = []
    handlers = Handlers()
    notebook = Notebook(store, QUEUE, lost=print, tell=print)
    floor = Floor(
        handlers,
        {},
        notebook,
        concurrency=1,
        report=lambda attempt, outcome: ends.append(outcome),
        tell=print,
        listened=lambda: False,
    )
    ran: list[str] = []

    @handlers.handler()
    async def run(context: Context[Any]) -> None:
        ran.append(context.id)

    jobs = [new_job(QUEUE, "job") for _ in range(2)]
    floor.admit(jobs, time.monotonic(), 30)
    for attempt in list(floor.held):
        if attempt.job is jobs[0]:
            floor.stop(attempt, Stop.CANCELLED)
    await until(lambda: len(ends) == 2)
    assert ends == [Fail(jobs[0], "Job cancelled"), Complete(jobs[1])]
    assert (ran, floor.free) == ([jobs[1].id], 1)
    floor.close()
