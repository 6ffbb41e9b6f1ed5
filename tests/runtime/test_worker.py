"""What a worker does with jobs that are there to be run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql import AsyncStore, Context, FetchOptions, JobOptions, JobState
from oqron_sql.contract import Backoff, Complete, EventType, StoreEvent
from oqron_sql.errors import ConfigurationError, GiveUp, InvalidInput, JobFailed
from oqron_sql.runtime import Handlers
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.steps import (
    QUEUE,
    Gate,
    ended,
    in_state,
    queue_of,
    until,
    worker_of,
    working,
)


async def test_each_name_has_its_handler(store: AsyncStore) -> None:
    """Awaited ones run in the loop, plain ones in a thread, and one may take all that is left."""
    queue, worker = queue_of(store), worker_of(store)
    here = threading.get_ident()

    @worker.handler("awaited")
    async def awaited(context: Context[dict[str, int]]) -> int:
        assert threading.get_ident() == here
        await asyncio.sleep(0)
        return context.data["n"] + 1

    @worker.handler("plain")
    def plain(context: Context[dict[str, int]]) -> int:
        assert threading.get_ident() != here
        return context.data["n"] + 2

    @worker.handler("returns what is to be awaited")
    def mixed(context: Context[dict[str, int]]) -> Any:
        return awaited(context)

    @worker.handler()
    async def rest(context: Context[Any]) -> str:
        return f"{context.name} {context.attempt}"

    async with working(worker):
        for name, result in (
            ("awaited", 2),
            ("plain", 3),
            ("returns what is to be awaited", 2),
            ("else", "else 1"),
        ):
            job = await queue.add(name, {"n": 1})
            assert await job.result(10) == result
            found = await ended(store, job.id)
            assert (found.state, found.returnvalue) == (JobState.COMPLETED, result)
            assert (found.locked_by, found.attempts_made) == (None, 0)


async def test_a_registry_of_its_own(store: AsyncStore) -> None:
    mail = Handlers()

    @mail.handler("welcome")
    async def welcome(context: Context[Any]) -> str:
        return "hello"

    assert await welcome_returns(store, mail) == "hello"
    worker = worker_of(store, handlers=mail)
    with pytest.raises(ConfigurationError, match="for jobs named 'welcome' already"):
        worker.include(mail)
    with pytest.raises(InvalidInput):
        worker.batch_handler("many", size=0)


async def welcome_returns(store: AsyncStore, handlers: Handlers) -> Any:
    async with working(worker_of(store, handlers=handlers)):
        job = await queue_of(store).add("welcome", PAYLOAD)
        return await job.result(10)


async def test_jobs_nobody_runs_fail(store: AsyncStore, caplog: pytest.LogCaptureFixture) -> None:
    queue, worker = queue_of(store), worker_of(store)
    async with working(worker):
        jobs = await queue.add_bulk([("unheard-of", None)] * 30, attempts=2)
        for job in jobs:
            found = await ended(store, job.id)
            assert (found.state, found.attempts_made) == (JobState.FAILED, 2)
            assert "no handler for jobs named 'unheard-of'" in (found.failed_reason or "")


async def test_a_job_is_tried_again(store: AsyncStore, harness: StoreHarness) -> None:
    """As often as it may, after the delay it asks for, with a record of each attempt."""
    queue, worker = queue_of(store), worker_of(store)
    asked: list[tuple[int, str]] = []

    @worker.handler("flaky")
    async def flaky(context: Context[int]) -> str:
        if context.attempt <= context.data:
            raise RuntimeError(f"attempt {context.attempt}")
        return "at last"

    @worker.backoff("patient")
    def patient(failures: int, error: BaseException) -> str:
        asked.append((failures, str(error)))
        return "1 hour"

    hour = timedelta(hours=1)
    async with working(worker):
        first = await queue.add("flaky", 2, attempts=3)
        found = await ended(store, first.id)
        assert (found.state, found.returnvalue) == (JobState.COMPLETED, "at last")
        records = [(each.status, each.error) for each in found.attempt_logs]
        wrong = [("failed", f"RuntimeError: attempt {n}") for n in (1, 2)]
        assert records == [*wrong, ("completed", None)]
        assert "attempt 1" in found.stacktrace[0]
        assert "in flaky" in found.stacktrace[0]

        for backoff in (
            Backoff(type="fixed", delay=hour),
            Backoff(type="exponential", delay=hour),
            Backoff(type="custom", strategy="patient"),
        ):
            job = await queue.add("flaky", 1, attempts=2, backoff=backoff)
            found = await in_state(store, job.id, JobState.DELAYED)
            assert found.delay_until is not None
            assert found.attempt_logs[0].ended_at is not None
            waits = found.delay_until - found.attempt_logs[0].ended_at
            spread = hour / 4 if backoff.type == "exponential" else timedelta(seconds=1)
            assert hour - spread <= waits <= hour + spread
            await harness.advance(2 * hour)
            assert (await ended(store, job.id)).returnvalue == "at last"
        assert asked == [(1, "attempt 1")]

        job = await queue.add("flaky", 9, attempts=2)
        found = await ended(store, job.id)
        assert (found.state, found.attempts_made) == (JobState.FAILED, 2)
        assert found.failed_reason == "RuntimeError: attempt 2"


async def test_a_handler_may_give_up(store: AsyncStore) -> None:
    queue, worker = queue_of(store), worker_of(store)

    @worker.handler("hopeless")
    def hopeless(context: Context[Any]) -> None:
        raise GiveUp("there is no such address")

    @worker.handler("leaves")
    async def leaves(context: Context[Any]) -> None:
        raise SystemExit(3)

    class Odd(BaseException):
        """As some libraries have it, lest somebody catches it."""

    @worker.handler("odd")
    async def odd(context: Context[Any]) -> None:
        raise Odd("not an Exception")

    async with working(worker):
        job = await queue.add("hopeless", PAYLOAD, attempts=5)
        with pytest.raises(JobFailed, match="GiveUp: there is no such address"):
            await job.result(10)
        assert (await ended(store, job.id)).attempts_made == 1
        found = await ended(store, (await queue.add("leaves", PAYLOAD)).id)
        assert found.failed_reason == "SystemExit: 3"
        found = await ended(store, (await queue.add("odd")).id)
        assert found.failed_reason == "Odd: not an Exception"


async def test_what_cannot_be_stored_fails_alone(store: AsyncStore) -> None:
    """The outcomes that were to be recorded with it are."""
    queue, worker = queue_of(store), worker_of(store)

    @worker.handler("returns")
    async def returns(context: Context[int]) -> Any:
        return {1, 2} if context.data == 3 else context.data

    jobs = await queue.add_bulk([("returns", n) for n in range(8)], attempts=3)
    async with working(worker):
        found = [await ended(store, job.id) for job in jobs]
    assert [job.returnvalue for job in found] == [0, 1, 2, None, 4, 5, 6, 7]
    assert found[3].state is JobState.FAILED
    assert "is a set, which JSON does not have" in (found[3].failed_reason or "")


async def test_batches(store: AsyncStore) -> None:
    """One call takes what is there, up to its size; each job has an outcome of its own."""
    queue, worker = queue_of(store), worker_of(store, concurrency=2)
    sizes: list[int] = []

    @worker.batch_handler("many", size=4)
    async def many(contexts: Sequence[Context[int]]) -> list[Any]:
        sizes.append(len(contexts))
        return [ValueError("odd") if each.data % 2 else each.data for each in contexts]

    @worker.batch_handler("all at once", size=3)
    def all_at_once(contexts: Sequence[Context[int]]) -> None:
        sizes.append(len(contexts))

    @worker.batch_handler("too few", size=3)
    async def too_few(contexts: Sequence[Context[int]]) -> list[int]:
        return [1] * (len(contexts) + 1)

    jobs = await queue.add_bulk([("many", n) for n in range(10)])
    async with working(worker):
        found = [await ended(store, job.id) for job in jobs]
        assert sum(sizes) == 10
        assert max(sizes) == 4
        for n, job in enumerate(found):
            if n % 2:
                assert (job.state, job.failed_reason) == (JobState.FAILED, "ValueError: odd")
            else:
                assert (job.state, job.returnvalue) == (JobState.COMPLETED, n)
        for name, state in (("all at once", JobState.COMPLETED), ("too few", JobState.FAILED)):
            jobs = await queue.add_bulk([(name, n) for n in range(5)])
            assert {(await ended(store, job.id)).state for job in jobs} == {state}


async def test_progress_and_lines_are_written(store: AsyncStore) -> None:
    """From the loop and from threads, soon and before the job ends."""
    queue, worker = queue_of(store), worker_of(store)
    gate = Gate()

    @worker.handler("talks")
    async def talks(context: Context[Any]) -> None:
        for percent in range(0, 60, 10):
            context.progress(percent)
            context.log(f"at {percent}")
        await gate(context)
        context.log("the last word")

    @worker.handler("talks in a thread")
    def talks_in_a_thread(context: Context[Any]) -> Any:
        context.log("from a thread")
        context.progress(99.5)
        return context.run(context.children())

    async with working(worker):
        job = await queue.add("talks", PAYLOAD)

        async def written() -> bool:
            found = await job.get()
            return found is not None and found.progress == 50 and len(found.logs) == 6

        await until(written)
        gate.open()
        assert (await ended(store, job.id)).logs[-2:] == ("at 50", "the last word")
        job = await queue.add("talks in a thread", PAYLOAD)
        found = await ended(store, job.id)
        assert (found.logs, found.progress) == (("from a thread",), 99.5)
        assert found.returnvalue == {}


async def test_no_more_run_at_a_time_than_may(store: AsyncStore) -> None:
    """And a slot that gets free is taken at once, not at the next look."""
    queue, worker = queue_of(store), worker_of(store, concurrency=3, poll=60)
    gate = Gate()
    worker.handler("job")(gate)
    jobs = await queue.add_bulk([("job", n) for n in range(10)])
    async with working(worker):
        await gate.entered(3)
        await asyncio.sleep(0.05)
        assert gate.most == 3
        gate.open()
        assert [await job.result(5) for job in jobs] == list(range(10))
        assert gate.most == 3


async def test_a_busy_worker_keeps_no_jobs_from_others(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """Slow jobs are leased one by one, however many wait."""
    queue, busy = queue_of(store), worker_of(store, concurrency=2)
    gate = Gate()
    busy.handler("job")(gate)
    await queue.add_bulk([("job", n) for n in range(20)])
    async with working(busy):
        await gate.entered(2)
        await asyncio.sleep(0.1)
        assert (await queue.counts())[JobState.ACTIVE] == 2
        other = await harness.another()
        assert len(await other.fetch_jobs(QUEUE, "other", timedelta(minutes=1), 50)) == 18
        gate.open()


async def test_a_worker_that_has_become_slow_hands_back(store: AsyncStore) -> None:
    """What it leased ahead when its jobs were quick does not wait for it."""
    queue, worker, gate = queue_of(store), worker_of(store, concurrency=2), Gate()
    worker.handler("slow")(gate)

    @worker.handler("quick")
    async def quick(context: Context[Any]) -> None:
        pass

    await queue.add_bulk([*[("quick", None)] * 400, *[("slow", None)] * 40])
    async with working(worker):

        async def active() -> int:
            return (await queue.counts())[JobState.ACTIVE]

        await gate.entered(2)
        started = time.monotonic()
        most = await active()

        async def handed_back() -> bool:
            return await active() == 2

        await until(handed_back)
        assert time.monotonic() - started < 2.5
        gate.open()
        await until_counted(store, 440)
        assert all(not job.attempts_made for job in await queue.list(JobState.COMPLETED))
    assert most > 2


async def test_jobs_run_in_their_order(store: AsyncStore) -> None:
    queue = queue_of(store)
    seen: list[int] = []

    async def note(context: Context[int]) -> None:
        seen.append(context.data)

    for lifo, expected in ((False, [9, 0, 1, 2, 3, 8]), (True, [9, 3, 2, 1, 0, 8])):
        worker = worker_of(store, concurrency=1, prefetch=0, limits=FetchOptions(lifo=lifo))
        worker.handler("job")(note)
        first, last = JobOptions(priority=-1), JobOptions(priority=1)
        await queue.add_bulk([("job", 8, last), *(("job", n) for n in range(4)), ("job", 9, first)])
        async with working(worker):
            await until(lambda: len(seen) == 6)
        assert seen == expected
        seen.clear()


async def test_delayed_jobs_run_when_they_are_due(store: AsyncStore, harness: StoreHarness) -> None:
    queue, worker = queue_of(store), worker_of(store)
    worker.handler()(lambda context: "done")
    async with working(worker):
        late = await queue.schedule("in 2 hours", "job")
        soon = await queue.schedule(0.05, "job")
        started = time.monotonic()
        assert await soon.result(10) == "done"
        assert time.monotonic() - started >= 0.04
        found = await late.get()
        assert found is not None
        assert found.state is JobState.DELAYED
        await harness.advance(timedelta(hours=2))
        assert await late.result(10) == "done"


async def test_what_is_paused_waits(store: AsyncStore) -> None:
    queue, worker = queue_of(store), worker_of(store)
    worker.handler()(lambda context: "done")
    await queue.pause("news")
    async with working(worker):
        news, other = await queue.add("news", PAYLOAD), await queue.add("other")
        assert await other.result(10) == "done"
        assert (await queue.counts())[JobState.WAITING] == 1
        await queue.resume("news")
        assert await news.result(10) == "done"
        await queue.pause()
        assert await queue.paused() == ["__all__"]
        waiting = await queue.add("other", PAYLOAD)
        with pytest.raises(TimeoutError, match=r"did not end within 0\.1 s"):
            await waiting.result(0.1)
        await queue.resume()
        assert await waiting.result(10) == "done"


async def test_jobs_that_are_not_to_be_kept_go(store: AsyncStore, harness: StoreHarness) -> None:
    queue, worker = queue_of(store), worker_of(store)
    worker.handler("job")(lambda context: context.data)
    gate = Gate()
    worker.handler("waits")(gate)
    async with working(worker):
        gone = await queue.add("waits", 1, remove_on_complete=True)
        result = asyncio.create_task(gone.result(10))
        await gate.entered()
        gate.open()
        assert await result == 1  # it was heard of
        assert await gone.get() is None
        kept = [await queue.add("job", n, remove_on_complete=2) for n in range(4)]
        await until_counted(store, 2)
        late = await queue.add("job", PAYLOAD, remove_on_complete="1 hour")
        await late.result(10)
        await harness.advance(timedelta(hours=1, seconds=1))
        await until_counted(store, 2)
        assert await late.get() is None
        assert await kept[3].get() is not None


async def until_counted(store: AsyncStore, completed: int) -> None:
    async def counted() -> bool:
        counts = await store.get_job_counts(QUEUE)
        return counts[JobState.COMPLETED] == completed and not counts[JobState.WAITING]

    await until(counted)


async def test_everybody_in_the_process_is_told(store: AsyncStore) -> None:
    """In the order in which it happened, and only of what is recorded."""
    queue, worker = queue_of(store), worker_of(store)
    told: list[tuple[EventType, Any]] = []

    def hear(event: StoreEvent) -> None:
        told.append((event.type, event.data))

    @worker.handler()
    async def run(context: Context[int]) -> int:
        context.progress(50)
        if context.attempt <= context.data:
            raise RuntimeError("boom")
        return context.data

    store.subscribe(QUEUE, hear)
    async with working(worker):
        for tries, attempts, state in ((1, 2, "completed"), (9, 1, "failed")):
            job = await queue.add("job", tries, attempts=attempts)
            await until(lambda: any(kind.endswith(state) for kind, _ in told))  # noqa: B023
            assert await job.get() is not None
    again = [(EventType.JOB_ACTIVE, None), (EventType.JOB_PROGRESS, 50)]
    assert told == [
        (EventType.JOB_WAITING, None),
        *again,
        (EventType.JOB_WAITING, None),
        *again,
        (EventType.JOB_COMPLETED, 1),
        (EventType.JOB_WAITING, None),
        *again,
        (EventType.JOB_FAILED, "RuntimeError: boom"),
    ]


async def test_a_worker_works_once_at_a_time(store: AsyncStore) -> None:
    worker = worker_of(store)
    worker.handler()(lambda context: None)
    for _ in range(2):
        async with working(worker):
            with pytest.raises(ConfigurationError, match="works already"):
                await worker.start()
            await (await queue_of(store).add("job", PAYLOAD)).result(10)
    await worker.close()


async def test_jobs_of_others_are_found_by_looking(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """Nobody tells of them: they were saved by another process, or so it seems."""
    other = await harness.another()
    worker = worker_of(store)
    worker.handler()(lambda context: "done")
    async with working(worker):
        await until(lambda: store.has_subscribers(QUEUE))
        job = await queue_of(other).add("job", PAYLOAD)
        assert await job.result(10) == "done"
        later = await queue_of(other).add("job", PAYLOAD, delay=0.1)
        assert await later.result(10) == "done"


async def test_an_outcome_that_was_recorded_before_is_no_loss(
    store: AsyncStore, caplog: pytest.LogCaptureFixture
) -> None:
    queue, worker = queue_of(store), worker_of(store)

    @worker.handler()
    async def finishes(context: Context[Any]) -> str:
        await store.finish_jobs(QUEUE, [Complete(context.job, "by hand")])
        return "by the worker"

    async with working(worker):
        job = await queue.add("job", PAYLOAD)
        assert await job.result(10) == "by hand"
    assert "lost its lease" not in caplog.text
