"""The Worker itself on AsyncSQLStore, with uvloop, as its own process would run it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import statistics
import time
from pathlib import Path

import sqlalchemy as sa
import uvloop

from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Profiler, main
from benchmarks.tidy import settle_database
from benchmarks.workload import BULK, QUEUE, payload
from oqron_sql import AsyncSQLStore, Context, Queue, Worker
from oqron_sql.cli.worker_process import spare_collections
from oqron_sql.contract import JobState

PAGE = os.sysconf("SC_PAGE_SIZE")
IDLE_SECONDS = 10
PART = 20_000
BACKLOG = 500_000


async def drain(task: Task, profiler: Profiler) -> Sample:
    """Work off `jobs` jobs; `batch` is the concurrency, 0 leaves it as it comes."""
    return await _drain(task, profiler, waiting=task.jobs)


async def backlog(task: Task, profiler: Profiler) -> Sample:
    """Work off the first `jobs` of many more."""
    return await _drain(task, profiler, waiting=BACKLOG)


async def _drain(task: Task, profiler: Profiler, *, waiting: int) -> Sample:
    ledger, meter = Ledger(), Meter(task.server_pid)
    store = AsyncSQLStore(task.url)
    await store.connect()
    await fill(store, waiting)
    settle_database(task.url)
    worker, done = make(store, task), asyncio.Event()

    @worker.handler("noop")
    async def noop(context: Context[dict[str, int]]) -> None:
        if len(ledger.ids) < task.jobs:
            ledger.record(context.id)
            if len(ledger.ids) == task.jobs:
                done.set()

    spare_collections()
    meter.start()
    with profiler:
        async with worker:
            await done.wait()
        ledger.settle()
    sample = ledger.sample(meter)
    completed = await store.count_jobs(QUEUE, JobState.COMPLETED)
    ledger.verify(task.jobs, max(0, task.jobs - completed))
    await store.disconnect()
    return sample


async def pick_up(task: Task, profiler: Profiler) -> Sample:
    """Add jobs to an idle worker of the same process: how soon does each begin?"""
    store = AsyncSQLStore(task.url)
    await store.connect()
    queue, worker = Queue(QUEUE, store), make(store, task)
    waits: list[float] = []

    @worker.handler("noop")
    async def noop(context: Context[float]) -> None:
        waits.append(time.perf_counter() - context.data)

    meter = Meter(task.server_pid)
    async with worker:
        await (await queue.add("noop", time.perf_counter())).result(10)
        waits.clear()
        meter.start()
        with profiler:
            for _ in range(task.jobs):
                await asyncio.sleep(random.uniform(0.005, 0.015))
                await (await queue.add("noop", time.perf_counter())).result(10)
    sample = meter.sample(task.jobs)
    await store.disconnect()
    percentiles = statistics.quantiles(waits, n=100)
    figures = {"p50 ms": percentiles[49] * 1000, "p99 ms": percentiles[98] * 1000}
    return dataclasses.replace(sample, figures=figures)


async def idle(task: Task, profiler: Profiler) -> Sample:
    """Do nothing for a while: how many statements does that take?"""
    store = AsyncSQLStore(task.url)
    await store.connect()
    said = 0

    def count(*_: object) -> None:
        nonlocal said
        said += 1

    engine = store._shell.source.engine
    sa.event.listen(engine, "before_cursor_execute", count)
    meter = Meter(task.server_pid)
    async with make(store, task):
        await asyncio.sleep(1)
        said = 0
        meter.start()
        with profiler:
            await asyncio.sleep(IDLE_SECONDS)
        sample = meter.sample(1)
    await store.disconnect()
    return dataclasses.replace(sample, figures={"statements/s": said / IDLE_SECONDS})


async def endure(task: Task, profiler: Profiler) -> Sample:
    """Work off `jobs` jobs, part by part: how much memory does that take, and does it grow?"""
    store = AsyncSQLStore(task.url)
    await store.connect()
    worker = make(store, task)
    worker.handler("noop")(_nothing)
    meter, sizes = Meter(task.server_pid), []
    meter.start()
    with profiler:
        async with worker:
            for done in range(PART, task.jobs + 1, PART):
                await fill(store, PART)
                while await store.count_jobs(QUEUE, JobState.COMPLETED) < done:
                    await asyncio.sleep(0.05)
                sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6)
    sample = meter.sample(task.jobs)
    await store.disconnect()
    grown = sizes[-1] - sizes[len(sizes) // 5]
    return dataclasses.replace(sample, figures={"MB": sizes[-1], "MB grown": grown})


async def _nothing(context: Context[object]) -> None:
    return None


def make(store: AsyncSQLStore, task: Task) -> Worker:
    """Return a worker; `batch` is its concurrency, 0 leaves it as it comes."""
    return Worker(QUEUE, store, concurrency=task.batch) if task.batch else Worker(QUEUE, store)


async def fill(store: AsyncSQLStore, jobs: int) -> None:
    """Add so many jobs, a thousand in a call."""
    queue = Queue(QUEUE, store)
    for first in range(0, jobs, BULK):
        numbers = range(first, min(first + BULK, jobs))
        await queue.add_bulk([("noop", payload(number)) for number in numbers])


if __name__ == "__main__":
    main(
        {
            "drain": lambda task, profiler: uvloop.run(drain(task, profiler)),
            "backlog": lambda task, profiler: uvloop.run(backlog(task, profiler)),
            "pick up": lambda task, profiler: uvloop.run(pick_up(task, profiler)),
            "idle": lambda task, profiler: uvloop.run(idle(task, profiler)),
            "endure": lambda task, profiler: uvloop.run(endure(task, profiler)),
        }
    )
