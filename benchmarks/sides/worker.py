"""The Worker itself on AsyncSQLStore, with uvloop, as its own process would run it."""

from __future__ import annotations

import asyncio

import uvloop

from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Profiler, main
from benchmarks.tidy import settle_database
from benchmarks.workload import BULK, QUEUE, payload
from oqron_sql import AsyncSQLStore
from oqron_sql.contract import JobState
from oqron_sql.runtime import Context, Queue, Worker


async def drain(task: Task, profiler: Profiler) -> Sample:
    """Work off `jobs` jobs; `batch` is the concurrency, 0 the default of everything."""
    ledger, meter = Ledger(), Meter(task.server_pid)
    store = AsyncSQLStore(task.url)
    await store.connect()
    queue = Queue(QUEUE, store)
    for first in range(0, task.jobs, BULK):
        numbers = range(first, min(first + BULK, task.jobs))
        await queue.add_bulk([("noop", payload(number)) for number in numbers])
    settle_database(task.url)
    worker = Worker(QUEUE, store, concurrency=task.batch) if task.batch else Worker(QUEUE, store)
    done = asyncio.Event()

    @worker.handler("noop")
    async def noop(context: Context[dict[str, int]]) -> None:
        ledger.record(context.id)
        if len(ledger.ids) == task.jobs:
            done.set()

    meter.start()
    with profiler:
        async with worker:
            await done.wait()
        ledger.settle()
    sample = ledger.sample(meter)
    ledger.verify(task.jobs, task.jobs - await store.count_jobs(QUEUE, JobState.COMPLETED))
    await store.disconnect()
    return sample


if __name__ == "__main__":
    main({"drain": lambda task, profiler: uvloop.run(drain(task, profiler))})
