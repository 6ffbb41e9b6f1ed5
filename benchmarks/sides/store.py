"""AsyncSQLStore on uvloop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import uvloop

from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.pump import Pump
from benchmarks.side import Profiler, main
from benchmarks.tidy import settle_database
from benchmarks.workload import BULK, QUEUE, WARM_UP, payload, shared_out
from oqron_sql import AsyncSQLStore
from oqron_sql.contract import Complete, Job, JobState, new_worker_id

LOCK = timedelta(seconds=30)


async def drain(task: Task, profiler: Profiler) -> Sample:
    """Work off `jobs` jobs."""
    ledger, meter, worker = Ledger(), Meter(task.server_pid), new_worker_id()
    store = AsyncSQLStore(task.url)
    await store.connect()
    await _save_bulk(store, 0, task.jobs)
    settle_database(task.url)

    async def fetch(n: int) -> list[Job]:
        return await store.fetch_jobs(QUEUE, worker, LOCK, n)

    async def noop(job: Job) -> None:
        ledger.record(job.id)

    async def finish(done: list[tuple[Job, object]]) -> None:
        settled = await store.finish_jobs(QUEUE, [Complete(job, value) for job, value in done])
        ledger.settle()
        if any(outcome.lost for outcome in settled):
            raise RuntimeError("a lease was lost")

    meter.start()
    with profiler:
        await Pump(fetch, noop, finish, task.batch).run()
    sample = ledger.sample(meter)
    ledger.verify(task.jobs, task.jobs - await store.count_jobs(QUEUE, JobState.COMPLETED))
    await store.disconnect()
    return sample


async def save(task: Task, profiler: Profiler) -> Sample:
    """Save single jobs, `in_flight` at a time."""
    store = AsyncSQLStore(task.url)
    await store.connect()

    async def save_one(number: int) -> None:
        await store.save_job(QUEUE, _job(number))

    await shared_out(range(WARM_UP), task.in_flight, save_one)
    settle_database(task.url)
    meter = Meter(task.server_pid)
    meter.start()
    with profiler:
        await shared_out(range(task.jobs), task.in_flight, save_one)
    sample = meter.sample(task.jobs)
    await _verify(store, task.jobs + WARM_UP)
    return sample


async def bulk(task: Task, profiler: Profiler) -> Sample:
    """Save jobs, `batch` in a call."""
    store = AsyncSQLStore(task.url)
    await store.connect()
    await _save_bulk(store, 0, task.batch, task.batch)
    settle_database(task.url)
    meter = Meter(task.server_pid)
    meter.start()
    with profiler:
        await _save_bulk(store, task.batch, task.batch + task.jobs, task.batch)
    sample = meter.sample(task.jobs)
    await _verify(store, task.jobs + task.batch)
    return sample


def _job(number: int) -> Job:
    return Job(name="noop", queue_name=QUEUE, data=payload(number))


async def _save_bulk(store: AsyncSQLStore, start: int, end: int, size: int = BULK) -> None:
    for first in range(start, end, size):
        jobs: Sequence[Job] = [_job(number) for number in range(first, min(first + size, end))]
        await store.save_bulk(QUEUE, jobs)


async def _verify(store: AsyncSQLStore, jobs: int) -> None:
    found = await store.count_jobs(QUEUE, JobState.WAITING)
    await store.disconnect()
    if found != jobs:
        raise RuntimeError(f"{jobs} jobs saved, {found} found")


if __name__ == "__main__":
    main(
        {
            "drain": lambda task, profiler: uvloop.run(drain(task, profiler)),
            "save": lambda task, profiler: uvloop.run(save(task, profiler)),
            "bulk": lambda task, profiler: uvloop.run(bulk(task, profiler)),
        }
    )
