"""Schedules as an application has them: put, fired by workers or a scheduler, and changed."""

from __future__ import annotations

import asyncio
import functools
import signal
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from oqron_sql import (
    AsyncSQLStore,
    AsyncStore,
    BlockingQueue,
    Context,
    JobOptions,
    MemoryStore,
    Queue,
)
from oqron_sql.contract import Clock, EventType, JobState, StoreEvent
from oqron_sql.contract.schedules import slot_id
from oqron_sql.errors import ConfigurationError, InvalidInput
from oqron_sql.memory.data import MemoryData
from oqron_sql.queries.tx import Tx
from oqron_sql.runtime import Scheduler
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD, now_of
from tests.runtime.steps import HOUR, QUEUE, SECOND, Looks, queue_of, until, worker_of, working


async def waiting(store: AsyncStore) -> int:
    return await store.count_jobs(QUEUE, JobState.WAITING)


async def test_a_worker_fires_what_is_due(store: AsyncStore, harness: StoreHarness) -> None:
    queue, worker, ran = queue_of(store), worker_of(store), list[Any]()

    @worker.handler("report")
    async def report(context: Context[Any]) -> None:
        ran.append((context.id, context.slot, context.data))

    made = await queue.every("1 hour", "report", {"to": "ada"}, attempts=3)
    async with working(worker):
        for n in (1, 2):
            await harness.advance(HOUR + SECOND)
            await until(functools.partial(_has, ran, n))
    assert made.anchor is not None
    slots = [made.anchor + n * HOUR for n in (1, 2)]
    assert ran == [(slot_id("report", slot), slot, {"to": "ada"}) for slot in slots]
    (found,) = await queue.schedules.list()
    assert (found.fired, found.opts) == (2, JobOptions(attempts=3))


async def test_a_worker_is_there_when_a_slot_is_due(store: AsyncStore) -> None:
    """It does not wait until it would look anyway."""
    worker, ran = worker_of(store, poll=30), asyncio.Event()

    @worker.handler()
    async def run(_: Context[Any]) -> None:
        ran.set()

    await queue_of(store).cron("* * * * * *", "tick", limit=2)
    async with working(worker), asyncio.timeout(5):
        await ran.wait()
        ran.clear()
        await ran.wait()
    (found,) = await queue_of(store).schedules.list()
    assert (found.fired, found.over) == (2, True)


async def test_who_fires_hears_of_what_is_put_and_resumed(
    store: AsyncStore, harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a process on every store, long before it would look anyway."""
    queue, looks, soon = queue_of(store), Looks(store, monkeypatch), SECOND / 3
    for key, firing in (
        ("a", worker_of(store, poll=300)),
        ("b", Scheduler([QUEUE, "another"], store, poll=300)),
    ):
        async with firing:
            await looks.rest()
            start = await now_of(store) + soon
            await queue.every(HOUR, "report", key=key, start=start)
            await until(functools.partial(_fired, queue, key, 1))
            await queue.schedules.pause(key)
            await looks.rest()
            await harness.advance(start + HOUR - soon - await now_of(store))
            await queue.schedules.resume(key)
            await until(functools.partial(_fired, queue, key, 2))


async def _fired(queue: Queue, key: str, n: int) -> bool:
    found = await queue.schedules.get(key)
    return found is not None and found.fired == n


async def test_a_worker_may_leave_them_to_others(store: AsyncStore, harness: StoreHarness) -> None:
    queue, heard = queue_of(store), list[StoreEvent]()
    await queue.every(HOUR, "report")
    await harness.advance(HOUR + SECOND)
    async with working(worker_of(store, schedules=False)):
        await queue.add("other", PAYLOAD)
        await until(lambda: _ended(store))
        assert (await queue.schedules.list())[0].fired == 0
    store.subscribe(QUEUE, heard.append)
    async with Scheduler([QUEUE, "another"], store, poll=0.05):
        await until(lambda: waiting(store))
    assert [(event.type, event.job_id) for event in heard] == [
        (EventType.JOB_WAITING, (await queue.list(JobState.WAITING))[0].id)
    ]


async def _ended(store: AsyncStore) -> bool:
    counts = await store.get_job_counts(QUEUE)
    return bool(counts[JobState.COMPLETED] or counts[JobState.FAILED])


async def test_ten_schedulers_fire_each_slot_once(store: AsyncStore, harness: StoreHarness) -> None:
    queue = queue_of(store)
    for n in range(5):
        await queue.every(HOUR, "report", key=f"report-{n}", catchup="all")
    stores = [store, await harness.another()]
    schedulers = [Scheduler(QUEUE, stores[n % 2], poll=0.05) for n in range(10)]
    for scheduler in schedulers:
        await scheduler.start()
    try:
        for n in (1, 2, 3):
            await harness.advance(HOUR)
            await until(functools.partial(_waiting_are, store, 5 * n))
    finally:
        await asyncio.gather(*(scheduler.close() for scheduler in schedulers))
    assert [each.fired for each in await queue.schedules.list()] == [3] * 5


def _has(items: list[Any], n: int) -> bool:
    return len(items) == n


async def _waiting_are(store: AsyncStore, n: int) -> bool:
    found = await waiting(store)
    assert found <= n
    return found == n


BROKEN: dict[str, Any] = {
    "tz": {"tz": "Mars/Base"},
    "cron": {"cron": "@fortnightly"},
    "catchup": {"catchup": "newest"},
    "colour": {"opts": '{"colour": "blue"}'},
    "data": {"data": "{"},
}


async def test_one_that_cannot_be_read_here_holds_up_no_other(
    store: AsyncStore, harness: StoreHarness, family: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As that of a newer version, or in a zone that this machine does not know."""
    if not isinstance(store, AsyncSQLStore):
        pytest.skip("memory holds no row of another version")
    queue = queue_of(store, f"mail of {family}")  # for it is told once in a process
    for key in (*BROKEN, "sound"):
        await queue.cron("@hourly", "report", key=key, tz="UTC")
    for key, members in BROKEN.items():
        await store.run(functools.partial(_break, key=key, members=members))
    listed = {each.key: each.error or "" for each in await queue.schedules.list()}
    assert [key for key, error in listed.items() if not error] == ["sound"]
    assert all(key in listed[key] for key in BROKEN)
    zone = await queue.schedules.get("tz")
    assert zone is not None
    assert (zone.repeat.tz, zone.repeat.cron, zone.name) == ("Mars/Base", "@hourly", "report")
    async with Scheduler(queue.name, store, poll=0.05):
        for n in (1, 2):
            await harness.advance(HOUR)
            await until(functools.partial(_fired, queue, "sound", n))
    assert await store.fire_schedules(queue.name, limit=1) == []
    said = [each.getMessage() for each in caplog.records]
    broken = [line.split("'")[1] for line in said if "cannot be read" in line]
    assert sorted(broken) == sorted(BROKEN)
    for key in BROKEN:
        assert await queue.schedules.pause(key)
        found = await queue.schedules.get(key)
        assert found is not None
        assert (found.paused, found.next_slot, found.error) == (True, None, listed[key])
    with pytest.raises(InvalidInput, match="IANA zone"):
        await queue.schedules.resume("tz")
    await queue.cron("@hourly", "report", key="tz", tz="Europe/Vienna")
    assert await queue.schedules.remove("cron")
    assert [each.key for each in await queue.schedules.list() if not each.error] == ["sound", "tz"]


def _break(tx: Tx, *, key: str, members: dict[str, Any]) -> None:
    table = tx.tables.schedules
    tx.begin()
    tx.conn.execute(update(table).where(table.c.schedule_key == key).values(members))


async def test_a_series_is_changed(store: AsyncStore, harness: StoreHarness) -> None:
    queue = queue_of(store)
    await queue.cron("0 3 * * *", "report", tz="Europe/Vienna", key="nightly", limit=5)
    assert [each.key for each in await queue.schedules.list()] == ["nightly"]
    assert await queue.schedules.pause("nightly")
    paused = await queue.schedules.get("nightly")
    assert paused is not None
    assert paused.paused
    assert await queue.schedules.resume("nightly")
    assert await queue.schedules.remove("nightly")
    assert await queue.schedules.get("nightly") is None
    assert not await queue.schedules.pause("nightly")


@pytest.mark.parametrize(
    ("how", "when", "options", "said"),
    [
        ("every", "often", {}, "must read like"),
        ("every", 0.1, {}, "at least a second"),
        ("cron", "often", {}, "wrong number of fields"),
        ("schedule", "often", {}, "must read like"),
        ("cron", "@daily", {"tz": "Mars"}, "IANA zone"),
        ("cron", "@daily", {"delay": 5}, "cannot be asked of the jobs of a schedule"),
        ("cron", "@daily", {"catchup": "some"}, "latest, all or none"),
        ("cron", "@daily", {"limit": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_scheduled(how: str, when: Any, options: dict[str, Any], said: str) -> None:
    queue = BlockingQueue(QUEUE, MemoryStore())
    put = getattr(queue, how)
    with pytest.raises(InvalidInput, match=said):
        put(when, "report", **options)
    assert queue.schedules.list() == []


@pytest.mark.parametrize(
    ("how", "when"),
    [("every", "1 hour"), ("every", HOUR), ("cron", "0 3 * * *"), ("schedule", "in 5 minutes")],
)
def test_a_name_before_the_time_is_told_of(how: str, when: Any) -> None:
    """For the first argument of `add` is the name."""
    with pytest.raises(InvalidInput, match="; the name comes after it") as told:
        getattr(BlockingQueue(QUEUE, MemoryStore()), how)("report", when)
    assert told.value.value == "report"


async def test_blocking_queues_have_schedules_too() -> None:
    clock = Clock()
    store = MemoryStore(MemoryData(), clock=clock)
    queue = BlockingQueue(QUEUE, store, JobOptions(attempts=7))
    queue.every("2 hours", "report", 5, priority=3)
    queue.cron("@hourly", "tick", session=None)
    assert [each.key for each in queue.schedules.list()] == ["report", "tick"]
    assert queue.schedules.pause("tick")
    assert queue.schedules.resume("tick")
    assert queue.schedules.remove("tick")
    assert queue.schedules.get("tick") is None
    clock.advance(timedelta(hours=2))
    async with Scheduler(QUEUE, store, poll=0.05):
        (job,) = await until(lambda: queue.list(JobState.WAITING))
    assert (job.data, job.opts.priority, job.opts.attempts) == (5, 3, 7)


async def test_a_scheduler_ends_when_it_is_told_to() -> None:
    store = MemoryStore()
    scheduler = Scheduler(QUEUE, store, poll=30)
    running = asyncio.ensure_future(scheduler.run())
    await until(lambda: signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
    with pytest.raises(ConfigurationError, match="works already"):
        await scheduler.start()
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        await running
    async with scheduler:
        pass
    await scheduler.close()
    with pytest.raises(InvalidInput):
        Scheduler("", store)
