"""A worker that has nothing to do: what it costs, and what gets it going again."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, AsyncStore, JobState
from oqron_sql.errors import StoreUnavailable
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.faults import Faulty
from tests.runtime.steps import QUEUE, Gate, queue_of, until, worker_of, working


async def test_an_idle_worker_costs_one_statement_a_look(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """It looks, and does nothing else: no fetch, no heartbeat, no sweep."""
    other = queue_of(await harness.another())
    await other.schedule("1 hour", "job")
    statements: list[str] = []
    if isinstance(store, AsyncSQLStore):
        engine = store._shell.source.engine
        assert engine is not None

        @sa.event.listens_for(engine, "before_cursor_execute")
        def note(conn: object, cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

    faulty = Faulty(store)
    worker = worker_of(faulty, poll=0.05)
    worker.handler()(lambda context: "done")
    async with working(worker):
        await until(lambda: faulty.calls["get_outlook"] >= 2)
        faulty.calls.clear()
        statements.clear()
        started = time.monotonic()
        await asyncio.sleep(0.5)  # what is counted is what it does in this time
        looks = faulty.calls.pop("get_outlook")
        assert looks <= (time.monotonic() - started) / 0.05 + 1
        assert faulty.calls == {}
        assert not statements or abs(len(statements) - looks) <= 1  # one may be under way
        await other.promote()
        await until(lambda: faulty.calls["finish_jobs"] == 1)


class Bell:
    """A wake-up by hand."""

    def __init__(self) -> None:
        self.rung, self.closed, self.waits, self.broken = asyncio.Event(), False, 0, False

    def wakeup(self, queue: str) -> Bell:
        assert queue == QUEUE
        return self

    async def wait(self, timeout: timedelta) -> bool:
        self.waits += 1
        if self.broken:
            raise OSError("the line is dead")
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await self.rung.wait()
        except TimeoutError:
            return False
        self.rung.clear()
        return True

    async def close(self) -> None:
        self.closed = True


class Ringing(Faulty):
    """A store that hands out wake-ups itself."""

    def __init__(self, store: AsyncStore, bell: Bell) -> None:
        super().__init__(store)
        self.wakeup = bell.wakeup


@pytest.mark.parametrize("own", [True, False], ids=["the store's", "given"])
async def test_a_hint_wakes(store: AsyncStore, harness: StoreHarness, own: bool) -> None:
    """Of a job that nobody in this process told of, long before the next look."""
    bell, other = Bell(), queue_of(await harness.another())
    worker = (
        worker_of(Ringing(store, bell), poll=60) if own else worker_of(store, poll=60, waking=bell)
    )
    worker.handler()(lambda context: "done")
    async with working(worker):
        await until(lambda: bell.waits)
        await asyncio.sleep(0.05)  # the first look found nothing; a later one would find it
        job = await other.add("job", PAYLOAD)
        later = await other.schedule(0.05, "job")
        bell.rung.set()
        assert [await job.result(10), await later.result(10)] == ["done", "done"]
    assert bell.closed


async def test_a_dead_wakeup_costs_time_alone(
    store: AsyncStore, harness: StoreHarness, caplog: pytest.LogCaptureFixture
) -> None:
    bell, other = Bell(), queue_of(await harness.another())
    bell.broken = True
    worker = worker_of(store, poll=0.05, waking=bell)
    worker.handler()(lambda context: "done")
    async with working(worker):
        await until(lambda: bell.waits)
        assert await (await other.add("job", PAYLOAD)).result(10) == "done"
    assert "waiting to be woken failed" in caplog.text


async def test_its_own_process_wakes_it_at_once(store: AsyncStore) -> None:
    queue, worker = queue_of(store), worker_of(store, poll=60)
    worker.handler()(lambda context: "done")
    async with working(worker):
        await until(lambda: store.has_subscribers(QUEUE))
        await asyncio.sleep(0.05)  # the first look found nothing; a later one would find it
        for _ in range(3):
            assert await (await queue.add("job", PAYLOAD)).result(10) == "done"
        assert await (await queue.schedule(0.05, "job")).result(10) == "done"
        await queue.pause()
        job = await queue.add("job", PAYLOAD)
        await asyncio.sleep(0.05)  # it has looked, in vain: resuming is what wakes it
        await queue.resume()
        assert await job.result(10) == "done"


async def test_a_worker_outlives_whatever_its_store_does(
    store: AsyncStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Every call fails for a while, in ways nobody thought of; then all is well (X8)."""
    faulty = Faulty(store)
    faulty.error = lambda name: RuntimeError(f"{name}: what a surprise")
    queue, worker = queue_of(store), worker_of(faulty)
    worker.handler()(lambda context: context.data)
    broken = {"fetch_jobs", "get_outlook", "finish_jobs", "publish", "extend_locks", "append_logs"}
    faulty.broken = broken - {"finish_jobs"}
    async with working(worker):
        jobs = await queue.add_bulk([("job", n) for n in range(5)])
        await until(lambda: faulty.failures >= 3)
        faulty.broken = set()
        assert [await job.result(10) for job in jobs] == list(range(5))
    assert "looking ahead failed, trying again" in caplog.text
    assert "what a surprise" in caplog.text


async def test_a_database_that_is_away_is_logged_in_one_line_with_its_reason(
    store: AsyncStore, caplog: pytest.LogCaptureFixture
) -> None:
    def away(name: str) -> Exception:
        error = StoreUnavailable(name)
        error.__cause__ = OSError("no route to host")
        return error

    faulty = Faulty(store)
    faulty.error, faulty.broken = away, {"get_outlook", "check_locks", "extend_locks"}
    worker, gate = worker_of(faulty, lease=0.3), Gate()
    worker.handler()(gate)
    async with working(worker):
        await queue_of(store).add("job", PAYLOAD)
        await until(lambda: "leases could not be looked at" in caplog.text)
        await until(lambda: "looking ahead failed" in caplog.text)
        gate.open()
    for record in caplog.records:
        if record.levelname == "WARNING" and "again" in record.message:
            assert record.message.endswith(": no route to host")
            assert record.exc_info is None


async def test_an_end_that_cannot_be_recorded_at_all_is_left_to_its_lease(
    store: AsyncStore, harness: StoreHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker goes on; the job comes back when the lease is over."""
    faulty = Faulty(store)
    faulty.error = lambda name: RuntimeError("no such column")
    queue, worker = queue_of(store), worker_of(faulty)
    worker.handler()(lambda context: "done")
    faulty.broken = {"finish_jobs"}
    async with working(worker):
        job = await queue.add("job", PAYLOAD)
        await until(lambda: "its lease will run out" in caplog.text)
        faulty.broken = set()
        found = await job.get()
        assert found is not None
        assert found.state is JobState.ACTIVE
        await harness.advance(timedelta(minutes=1))
        assert await job.result(10) == "done"
