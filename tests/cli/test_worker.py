"""What a worker does with its leases, on the store in memory and its movable clock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oqron_sql.cli import demo_worker
from oqron_sql.cli.demo_files import Stopped
from oqron_sql.cli.demo_worker import LEASE, Reporter, Worker
from oqron_sql.contract import Clock, JobState, new_job
from oqron_sql.memory import AsyncMemoryStore, MemoryData

QUEUE = "files"
Told = list[tuple[str, int, str]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(clock: Clock) -> AsyncIterator[AsyncMemoryStore]:
    store = AsyncMemoryStore(MemoryData(), clock=clock)
    await store.connect()
    yield store
    await store.disconnect()


async def enqueue(store: AsyncMemoryStore, *paths: str) -> list[str]:
    return await store.save_bulk(QUEUE, [new_job(QUEUE, "analyse", path) for path in paths])


async def work_until_idle(store: AsyncMemoryStore) -> Told:
    """Let a worker work until it says that there is nothing to do."""
    told: Told = []

    def tell(state: str, done: int, file: str) -> None:
        told.append((state, done, file))
        if state == "idle":
            worker.told.set()

    worker = Worker(store, QUEUE, "w1", tell)
    async with asyncio.timeout(20):
        await worker.run()
    return told


async def test_each_file_becomes_a_result(store: AsyncMemoryStore, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one two\n")
    (job_id,) = await enqueue(store, str(tmp_path / "a"))
    told = await work_until_idle(store)
    job = await store.get_job(QUEUE, job_id)
    assert job is not None
    assert job.state is JobState.COMPLETED
    assert (job.returnvalue["bytes"], job.returnvalue["worker"]) == (8, "w1")
    assert told == [
        ("reading", 0, str(tmp_path / "a")),
        ("idle", 1, ""),
        ("finished", 1, ""),
    ]


async def test_a_file_that_cannot_be_read_fails_with_the_reason(
    store: AsyncMemoryStore, tmp_path: Path
) -> None:
    (job_id,) = await enqueue(store, str(tmp_path / "gone"))
    await work_until_idle(store)
    job = await store.get_job(QUEUE, job_id)
    assert job is not None
    assert job.state is JobState.FAILED
    assert job.failed_reason == "FileNotFoundError: No such file or directory"


async def test_a_worker_told_to_stop_settles_and_gives_back_the_rest(
    store: AsyncMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(store, "first", "second", "third")
    worker = Worker(store, QUEUE, "w1", lambda *_: None)

    def read(path: str, stop: object) -> dict[str, int]:
        if path == "second":
            worker.told.set()
            raise Stopped
        return {"bytes": 1}

    monkeypatch.setattr(demo_worker, "analyse", read)
    await worker.run()
    counts = await store.get_job_counts(QUEUE)
    assert (counts[JobState.COMPLETED], counts[JobState.WAITING]) == (1, 2)


async def test_leases_are_kept_while_a_file_takes_longer_than_one(
    store: AsyncMemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = await enqueue(store, "slow")
    monkeypatch.setattr(demo_worker, "HEARTBEAT", LEASE / 1000)
    extended = asyncio.Event()
    extend_locks = store.extend_locks

    async def noting(*args: object, **kwargs: object) -> object:
        result = await extend_locks(*args, **kwargs)  # type: ignore[arg-type] # handed through
        loop.call_soon(extended.set)
        return result

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(store, "extend_locks", noting)

    def read(path: str, stop: object) -> dict[str, int]:
        clock.advance(LEASE * 0.9)
        asyncio.run_coroutine_threadsafe(extended.wait(), loop).result(20)
        clock.advance(LEASE * 0.9)
        return {"bytes": 1}

    monkeypatch.setattr(demo_worker, "analyse", read)
    await work_until_idle(store)
    job = await store.get_job(QUEUE, job_id)
    assert job is not None
    assert (job.state, job.lease, job.lost_count) == (JobState.COMPLETED, 1, 0)


async def test_a_result_whose_lease_was_lost_is_not_counted(
    store: AsyncMemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(store, "file")

    async def taken_away() -> None:
        clock.advance(LEASE * 2)
        assert await store.recover_lost(QUEUE)
        assert await store.fetch_jobs(QUEUE, "another", LEASE, 1)

    loop = asyncio.get_running_loop()

    def read(path: str, stop: object) -> dict[str, int]:
        asyncio.run_coroutine_threadsafe(taken_away(), loop).result(20)
        return {"bytes": 1}

    monkeypatch.setattr(demo_worker, "analyse", read)
    told = await work_until_idle(store)
    assert told[-1] == ("finished", 0, "")
    assert await store.get_active_count(QUEUE) == 1


async def test_jobs_of_dead_workers_are_taken_back(
    store: AsyncMemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a").touch()
    (job_id,) = await enqueue(store, str(tmp_path / "a"))
    await store.fetch_jobs(QUEUE, "dead", LEASE, 1)
    clock.advance(LEASE * 2)
    monkeypatch.setattr(demo_worker, "HEARTBEAT", LEASE * 0)
    await work_until_idle(store)
    job = await store.get_job(QUEUE, job_id)
    assert job is not None
    assert (job.state, job.lease, job.lost_count) == (JobState.COMPLETED, 2, 1)


def test_a_report_never_waits_for_its_reader() -> None:
    reader, writer = os.pipe()
    tell = Reporter(writer)
    for number in range(5000):  # more than any pipe holds
        tell(f"state {number}", number, "f" * 300)
    os.close(reader)
    tell("nobody listens", 0, "")
    os.close(writer)
