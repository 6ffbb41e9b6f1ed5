"""How a worker ends: it waits, hands back, and loses nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql import AsyncStore, Context, JobState
from oqron_sql.errors import Interrupted
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.faults import Faulty
from tests.runtime.steps import QUEUE, Gate, ended, queue_of, until, worker_of, working


async def states(store: AsyncStore) -> dict[JobState, int]:
    return {state: n for state, n in (await store.get_job_counts(QUEUE)).items() if n}


async def test_closing_waits_for_what_runs_and_hands_back_the_rest(store: AsyncStore) -> None:
    """Jobs that were leased ahead wait again, as if nothing had been; nothing new begins."""
    queue, gate = queue_of(store), Gate()
    worker = worker_of(store, concurrency=2)
    worker.handler("slow")(gate)
    worker.batch_handler("quick", size=10)(lambda contexts: None)
    slow = [("slow", n) for n in range(2)]
    await worker.start()
    for warm_up in await queue.add_bulk([("quick", n) for n in range(3)]):
        await warm_up.result(10)
    jobs = await queue.add_bulk([*slow, *(("quick", n) for n in range(8))])
    await gate.entered(2)
    assert await states(store) == {JobState.ACTIVE: 10, JobState.COMPLETED: 3}
    closing = asyncio.create_task(worker.close())
    await until(lambda: _only_active(store, 2))
    assert not closing.done()
    gate.open()
    await closing
    assert await states(store) == {JobState.COMPLETED: 5, JobState.WAITING: 8}
    found = await jobs[-1].get()
    assert found is not None
    assert (found.attempts_made, found.lost_count, found.attempt_logs) == (0, 0, ())
    assert not store.has_subscribers(QUEUE)
    assert [each.name for each in threading.enumerate() if "heartbeat" in each.name] == []


async def _only_active(store: AsyncStore, n: int) -> bool:
    return (await store.get_job_counts(QUEUE))[JobState.ACTIVE] == n


async def test_after_the_grace_what_runs_is_handed_back(store: AsyncStore) -> None:
    """Told to stop, it may clean up; no attempt is counted, and another worker finishes it."""
    queue, gate = queue_of(store), Gate()
    worker = worker_of(store, grace=0.05)
    worker.handler("awaited")(gate)
    cleaned, began = threading.Event(), threading.Event()

    @worker.handler("in a thread")
    def spins(context: Context[Any]) -> None:
        began.set()
        try:
            while True:
                pass
        except Interrupted:
            cleaned.set()
            raise

    jobs = await queue.add_bulk([("awaited", None), ("in a thread", None)])
    async with worker:
        await gate.entered()
        await until(began.is_set)
    assert (len(gate.stopped), cleaned.is_set()) == (1, True)
    assert await states(store) == {JobState.WAITING: 2}
    async with working(worker_of(store)) as other:
        other.handler()(lambda context: "done")
        for job in jobs:
            found = await ended(store, job.id)
            assert (found.returnvalue, found.attempts_made, found.lease) == ("done", 0, 2)


async def test_a_worker_in_a_hurry_does_not_wait(store: AsyncStore) -> None:
    queue, worker, gate = queue_of(store), worker_of(store), Gate()
    worker.handler()(gate)
    await queue.add("job", PAYLOAD)
    await worker.start()
    await gate.entered()
    closing = asyncio.create_task(worker.close())
    await asyncio.sleep(0.05)  # only time shows that it waits
    assert not closing.done()
    started = time.monotonic()
    worker.hurry()
    await closing
    assert time.monotonic() - started < 2
    assert await states(store) == {JobState.WAITING: 1}


async def test_a_fetch_under_way_is_waited_for(store: AsyncStore) -> None:
    """What it brings is handed back: nobody runs it on a closed worker (W15)."""
    slow = SlowFetch(store)
    queue, worker = queue_of(store), worker_of(slow)
    ran: list[str] = []
    worker.handler()(lambda context: ran.append(context.id))
    await queue.add("job", PAYLOAD)
    await worker.start()
    await slow.fetched.wait()
    closing = asyncio.create_task(worker.close())
    await asyncio.sleep(0.02)  # it is closing by then; if it is not, nothing is proved, or broken
    slow.go.set()
    await closing
    assert ran == []
    assert await states(store) == {JobState.WAITING: 1}


class SlowFetch(Faulty):
    """Keeps what was fetched back until it is told to go on."""

    def __init__(self, store: AsyncStore) -> None:
        super().__init__(store)
        self.fetched, self.go = asyncio.Event(), asyncio.Event()

    async def fetch_jobs(self, *args: Any, **kwargs: Any) -> Any:
        jobs = await self._store.fetch_jobs(*args, **kwargs)
        self.fetched.set()
        await self.go.wait()
        return jobs


async def test_a_worker_whose_task_is_cancelled_closes_in_a_hurry(store: AsyncStore) -> None:
    queue, worker, gate = queue_of(store), worker_of(store), Gate()
    worker.handler()(gate)
    await queue.add("job", PAYLOAD)
    task = asyncio.create_task(worker.run())
    await gate.entered()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await states(store) == {JobState.WAITING: 1}
    assert not store.has_subscribers(QUEUE)


async def test_closing_twice_is_closing_once(store: AsyncStore) -> None:
    worker = worker_of(store)
    await worker.close()
    running = asyncio.create_task(worker.run())
    await until(lambda: store.has_subscribers(QUEUE))
    await asyncio.gather(worker.close(), worker.close())
    await running
    await worker.close()


async def test_outcomes_are_recorded_though_the_store_was_away(store: AsyncStore) -> None:
    """While it is, nothing is lost; when it is back, what gathered is recorded."""
    faulty = Faulty(store)
    queue, worker = queue_of(store), worker_of(faulty)
    done: list[int] = []

    @worker.handler()
    async def do(context: Context[int]) -> int:
        done.append(context.data)
        return context.data

    async with worker:
        faulty.broken = {"finish_jobs", "fetch_jobs", "get_outlook"}
        jobs = await queue.add_bulk([("job", n) for n in range(20)])
        await until(lambda: faulty.failures >= 2)
        faulty.broken = {"finish_jobs"}
        await until(lambda: faulty.calls["finish_jobs"] >= 2)
        await until(lambda: len(done) == 20)  # what has not begun would be handed back
        faulty.broken = set()
    assert [(await ended(store, job.id)).returnvalue for job in jobs] == list(range(20))


async def test_a_handler_that_will_not_end_is_left_alone(
    store: AsyncStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lease runs out, and the job goes to another."""
    monkeypatch.setattr("oqron_sql.runtime.crew.STOPPING", 0.1)
    queue, worker = queue_of(store), worker_of(store, grace=0)
    stuck, go = threading.Event(), threading.Event()

    @worker.handler()
    def waits_in_c(context: Context[Any]) -> None:
        stuck.set()
        go.wait(30)

    await queue.add("job", PAYLOAD)
    async with worker:
        await until(stuck.is_set)
    assert "1 handlers will not end" in caplog.text
    assert await states(store) == {JobState.ACTIVE: 1}
    go.set()


async def test_the_grace_can_be_given_with_the_order(store: AsyncStore) -> None:
    queue, worker, gate = queue_of(store), worker_of(store), Gate()
    worker.handler()(gate)
    await queue.add("job", PAYLOAD)
    await worker.start()
    await gate.entered()
    await worker.close(grace=timedelta(milliseconds=50))
    assert await states(store) == {JobState.WAITING: 1}
