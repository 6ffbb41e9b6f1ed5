"""The system has no thread, or no file, for a while: it is told, and nothing is held for ever."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from typing import Any

import pytest

from oqron_sql import AsyncStore, JobState
from tests.runtime.steps import QUEUE, ended, queue_of, worker_of, working

NO_THREAD = "can't start new thread"


class Shortage:
    """Lets no thread of a name start while it lasts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, times: float) -> None:
        self.left = times
        start = threading.Thread.start

        def fail_or_start(thread: threading.Thread) -> None:
            if thread.name.startswith(name) and self.left > 0:
                self.left -= 1
                raise RuntimeError(NO_THREAD)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", fail_or_start)


def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    Shortage(monkeypatch, "oqron_sql heartbeat", 1)


def no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    make, left = asyncio.events.new_event_loop, [OSError(errno.EMFILE, "Too many open files")]

    def fail_or_make() -> asyncio.AbstractEventLoop:
        if left and threading.current_thread().name == "oqron_sql heartbeat":
            raise left.pop()
        return make()

    monkeypatch.setattr(asyncio.events, "new_event_loop", fail_or_make)


@pytest.mark.parametrize(
    ("lack", "said"), [(no_thread, NO_THREAD), (no_file, "Too many open files")]
)
@pytest.mark.parametrize("by", ["run", "start"])
async def test_a_worker_whose_heartbeat_cannot_start_says_so_and_can_be_started_again(
    store: AsyncStore,
    monkeypatch: pytest.MonkeyPatch,
    lack: Callable[[pytest.MonkeyPatch], None],
    said: str,
    by: str,
) -> None:
    worker = worker_of(store)
    worker.handler()(lambda context: "done")
    lack(monkeypatch)
    with pytest.raises((OSError, RuntimeError), match=said):
        await getattr(worker, by)()
    assert not store.has_subscribers(QUEUE)
    async with working(worker):
        assert await (await queue_of(store).add("job")).result(10) == "done"


async def test_without_a_thread_the_attempt_fails_and_its_slot_is_free(
    store: AsyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    Shortage(monkeypatch, "oqron_sql handler", 1)
    worker, queue = worker_of(store, concurrency=1), queue_of(store)
    worker.handler()(lambda context: "done")
    async with asyncio.timeout(20), working(worker):
        failed = await ended(store, (await queue.add("job")).id)
        assert failed.state is JobState.FAILED
        assert failed.failed_reason == f"RuntimeError: {NO_THREAD}"
        assert await (await queue.add("job")).result(10) == "done"


async def test_threads_that_could_not_start_are_replaced_by_those_that_can(
    store: AsyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are there do the work meanwhile; later as many run at a time as ever."""
    worker, queue = worker_of(store, concurrency=3), queue_of(store)
    together = threading.Barrier(3)
    worker.handler("job")(lambda context: "done")
    worker.handler("meet")(lambda context: together.wait(10) >= 0)
    async with asyncio.timeout(30), working(worker):
        await (await queue.add("job")).result(10)
        shortage = Shortage(monkeypatch, "oqron_sql handler", 2)
        jobs = await queue.add_bulk([("job", n) for n in range(3)])
        assert [await job.result(10) for job in jobs] == ["done"] * 3
        assert shortage.left == 0
        jobs = await queue.add_bulk([("meet", n) for n in range(3)])
        assert [await job.result(15) for job in jobs] == [True] * 3


async def test_a_handler_that_raises_what_ends_generators_has_failed(store: AsyncStore) -> None:
    worker, queue = worker_of(store, concurrency=1), queue_of(store)

    @worker.handler("ends")
    async def ends(context: Any) -> None:
        raise GeneratorExit

    worker.handler("next")(lambda context: "done")
    async with asyncio.timeout(20), working(worker):
        failed = await ended(store, (await queue.add("ends")).id)
        assert (failed.state, failed.failed_reason) == (JobState.FAILED, "GeneratorExit")
        assert await (await queue.add("next")).result(10) == "done"
