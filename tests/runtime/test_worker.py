"""What a worker does: its handlers, what they write, and what it tells."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql import AsyncStore, Context, JobState
from oqron_sql.contract import EventType, StoreEvent
from oqron_sql.errors import ConfigurationError, InvalidInput
from oqron_sql.runtime import Handlers
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.steps import (
    QUEUE,
    Gate,
    ended,
    queue_of,
    until,
    until_counted,
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


async def test_a_run_that_is_refused_leaves_the_worker_at_work(store: AsyncStore) -> None:
    worker, queue = worker_of(store), queue_of(store)
    worker.handler()(lambda context: None)
    async with asyncio.timeout(20):
        running = asyncio.create_task(worker.run())
        await (await queue.add("job", PAYLOAD)).result(10)
        with pytest.raises(ConfigurationError, match="works already"):
            await worker.run()
        await (await queue.add("job", PAYLOAD)).result(10)
        await worker.close()
        await running
        async with working(worker):
            with pytest.raises(ConfigurationError, match="works already"):
                await worker.run()
            await (await queue.add("job", PAYLOAD)).result(10)
