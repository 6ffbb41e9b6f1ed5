"""Between processes: what one saves wakes a worker of another, what one ends is heard in another.

Looking is put off for so long that nothing here could happen by it, except where that is the point.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from oqron_sql import AsyncSQLStore, AsyncStore, JobState, Queue, Worker
from oqron_sql.errors import JobFailed
from oqron_sql.runtime import Scheduler, watching
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.backends import SQLHarness
from tests.runtime.steps import QUEUE, Looks, queue_of, until, worker_of, working

NEVER = 300


class Elsewhere:
    """Another process, told what to do line by line; one for all tests of this file."""

    def __init__(self) -> None:
        command = (sys.executable, "-m", "tests.runtime.elsewhere")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    async def do(self, *words: object) -> str:
        """Let it do something; return its answer."""
        async with asyncio.timeout(30):
            return await asyncio.to_thread(self._do, " ".join(map(str, words)))

    def _do(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()


_started: list[Elsewhere] = []


@pytest.fixture(autouse=True, scope="module")
def _ending() -> Iterator[None]:
    yield
    while _started:
        _started.pop().kill()


@asynccontextmanager
async def elsewhere(harness: StoreHarness) -> AsyncIterator[Elsewhere]:
    """Let another process open the database; one that a test has failed with is used no more."""
    if not isinstance(harness, SQLHarness):
        pytest.skip("memory is not shared by processes")
    other = _started.pop() if _started else Elsewhere()
    try:
        assert await other.do("open", harness.url) == "open"
        yield other
        assert await other.do("close") == "closed"
    except BaseException:
        other.kill()
        raise
    _started.append(other)


def skip_unless_hints_come(family: str) -> None:
    if family.startswith("maria"):
        pytest.skip("nothing tells other processes there: they look")


async def listening(store: AsyncStore) -> None:
    """Wait until the process would hear what another one says."""
    assert isinstance(store, AsyncSQLStore)
    listener = store.notifier._listener
    if listener is not None:
        await until(lambda: listener.listening)


@asynccontextmanager
async def apart(
    store: AsyncStore, harness: StoreHarness
) -> AsyncIterator[tuple[Elsewhere, Worker]]:
    """Let a worker wait here that hears what another process does."""
    worker = worker_of(store, poll=NEVER)
    worker.handler("job")(lambda context: "done")
    async with elsewhere(harness) as other, working(worker):
        await listening(store)
        yield other, worker


async def test_a_worker_is_woken_by_whatever_another_process_does(
    store: AsyncStore, harness: StoreHarness, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_unless_hints_come(family)
    queue, looks = queue_of(store), Looks(store, monkeypatch)
    async with apart(store, harness) as (other, _):
        assert await queue.handle(await other.do("add", "job")).result(10) == "done"
        soon = queue.handle(await other.do("schedule", 0.2))
        assert await soon.result(10) == "done"
        later = queue.handle(await other.do("schedule", NEVER))
        await looks.rest()
        await other.do("promote", later.id)
        assert await later.result(10) == "done"
        await other.do("retry", later.id)
        await until_run_again(queue, later.id)
        await store.pause_job_name(QUEUE, "__all__")
        held = queue.handle(await other.do("add", "job"))
        await looks.rest()
        assert await store.count_jobs(QUEUE, JobState.WAITING) == 1
        await other.do("resume", held.id)
        assert await held.result(10) == "done"


async def test_who_fires_is_woken_by_what_another_process_puts(
    store: AsyncStore, harness: StoreHarness, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_unless_hints_come(family)
    queue, looks = queue_of(store), Looks(store, monkeypatch)
    async with apart(store, harness) as (other, worker):
        await looks.rest()
        await other.do("cron", "job")
        await until(lambda: fired(queue, "job"))
        await worker.close()
        async with Scheduler(QUEUE, store, poll=NEVER):
            await looks.rest()
            await other.do("cron", "other")
            await until(lambda: fired(queue, "other"))
            await queue.cron("* * * * * *", "held")
            await queue.schedules.pause("held")
            await looks.rest()
            await other.do("go-on", "held")
            await until(lambda: fired(queue, "held"))


async def fired(queue: Queue, key: str) -> bool:
    found = await queue.schedules.get(key)
    return found is not None and found.fired > 0


async def until_run_again(queue: Queue, job_id: str) -> None:
    async def again() -> bool:
        job = await queue.get(job_id)
        return job is not None and (job.state, job.lease) == (JobState.COMPLETED, 2)

    await until(again)


async def test_what_another_process_ends_is_heard(
    store: AsyncStore, harness: StoreHarness, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress, success and failure; by hints alone, where there are any."""
    queue = queue_of(store)
    async with elsewhere(harness) as other:
        before = await queue.add("job", PAYLOAD)  # a worker hears who waits once it works
        await other.do("work", before.id)
        await other.do("release", before.id)
        if not family.startswith("maria"):
            monkeypatch.setattr(watching, "LONGEST_PAUSE", NEVER)
            monkeypatch.setattr(watching, "FIRST_PAUSE", NEVER)
        for name in ("job", "broken"):
            job = await queue.add(name)
            seen: list[tuple[JobState, float]] = []
            observing = asyncio.create_task(observe(job, seen))
            waiting = asyncio.create_task(job.result(30))
            await until(lambda: seen)  # noqa: B023 - called at once
            await listening(store)
            await other.do("work", job.id)
            await until(lambda: seen[-1] == (JobState.ACTIVE, 50))  # noqa: B023
            await other.do("release", job.id)
            async with asyncio.timeout(10):
                if name == "job":
                    assert await waiting == "done elsewhere"
                else:
                    with pytest.raises(JobFailed, match="as it should"):
                        await waiting
                await observing
            assert seen[-1][0] in (JobState.COMPLETED, JobState.FAILED)
    assert not store.has_subscribers(QUEUE)


async def observe(job: Any, seen: list[tuple[JobState, float]]) -> None:
    async for found in job.observe():
        seen.append((found.state, found.progress))  # noqa: PERF401 - seen while it goes on


async def test_a_job_that_ended_elsewhere_a_moment_before(
    store: AsyncStore, harness: StoreHarness
) -> None:
    async with elsewhere(harness) as other:
        job = await queue_of(store).add("job", PAYLOAD)
        await other.do("work", job.id)
        await other.do("release", job.id)
        started = time.monotonic()
        assert await job.result(10) == "done elsewhere"
        assert time.monotonic() - started < 5
        assert [found.state async for found in job.observe()] == [JobState.COMPLETED]


async def test_a_dead_notifier_costs_time_alone(
    store: AsyncStore, harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is cut again and again, or its files are gone: looking will do."""
    queue, worker = queue_of(store), worker_of(store, poll=0.2)
    worker.handler("job")(lambda context: "done")
    async with elsewhere(harness) as other, working(worker):
        await listening(store)
        deaf(store, monkeypatch)
        cutting = asyncio.create_task(cut_off(store))
        mine = queue.handle(await other.do("add", "job"))
        assert await mine.result(10) == "done"
        await worker.close()
        theirs = await queue.add("other", PAYLOAD)
        waiting = asyncio.create_task(theirs.result(30))
        await other.do("work", theirs.id)
        await other.do("release", theirs.id)
        assert await waiting == "done elsewhere"
        cutting.cancel()
        await asyncio.wait({cutting})


def deaf(store: AsyncStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watcher of a SQLite file look at files that are gone."""
    assert isinstance(store, AsyncSQLStore)
    watcher = store.notifier._watcher
    if watcher is not None:
        monkeypatch.setattr(watcher, "_paths", ["/nowhere/to/be/found"])


async def cut_off(store: AsyncStore) -> None:
    """End every connection that listens, again and again, on PostgreSQL."""
    assert isinstance(store, AsyncSQLStore)
    if store.notifier.channel is None:
        return

    def cut(tx: Any) -> None:
        tx.conn.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%%' AND pid <> pg_backend_pid()"
        )

    while True:
        await store.run(cut)
        await asyncio.sleep(0.05)  # between one cut and the next


async def test_a_listener_that_was_cut_off_is_there_again(
    store: AsyncStore, harness: StoreHarness, family: str
) -> None:
    if not family.startswith("pg"):
        pytest.skip("there is no connection to cut")
    assert isinstance(store, AsyncSQLStore)
    queue, worker = queue_of(store), worker_of(store, poll=NEVER)
    worker.handler("job")(lambda context: "done")
    async with elsewhere(harness) as other, working(worker):
        await listening(store)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await cut_off(store)
        job = queue.handle(await other.do("add", "job"))
        assert await job.result(10) == "done"
