"""PgQueuer as its command line runs it: uvloop, one process, its own QueueManager."""

from __future__ import annotations

import json
from typing import cast

import asyncpg  # type: ignore[import-untyped]  # it has no types
import uvloop
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain import models
from pgqueuer.domain.types import JOB_STATUS, QueueExecutionMode

from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Profiler, main
from benchmarks.workload import BULK, WARM_UP, payload, plain_url, shared_out

ENTRYPOINT = "noop"


class Noting(Queries):
    """Its queries, telling when a batch of finishes is on disk."""

    ledger: Ledger

    async def log_jobs(
        self, job_status: list[tuple[models.Job, JOB_STATUS, models.TracebackRecord | None]]
    ) -> None:
        await super().log_jobs(job_status)
        self.ledger.settle()


async def drain(task: Task, profiler: Profiler) -> Sample:
    """Work off `jobs` jobs: over one connection, or over a pool if several may be in flight."""
    ledger, meter = Ledger(), Meter(task.server_pid)
    connection = await asyncpg.connect(plain_url(task.url))
    pool = await asyncpg.create_pool(plain_url(task.url), min_size=4, max_size=4)
    made = (
        Noting.from_asyncpg_pool(pool)
        if task.in_flight > 1
        else Noting.from_asyncpg_connection(connection)
    )
    queries = cast(Noting, made)
    queries.ledger = ledger
    await queries.install()
    await save_bulk(queries, 0, task.jobs)
    await connection.execute("ANALYZE")
    await connection.execute("CHECKPOINT")
    manager = QueueManager(queries)

    @manager.entrypoint(ENTRYPOINT)
    async def noop(job: models.Job) -> None:
        ledger.record(job.id)

    meter.start()
    with profiler:
        await manager.run(batch_size=task.batch, mode=QueueExecutionMode.drain)
    sample = ledger.sample(meter)
    left = await queries.queue_size()
    ledger.verify(task.jobs, sum(entry.count for entry in left))
    await pool.close()
    await connection.close()
    return sample


async def save(task: Task, profiler: Profiler) -> Sample:
    """Save single jobs, `in_flight` at a time."""
    pool = await asyncpg.create_pool(
        plain_url(task.url), min_size=task.in_flight, max_size=task.in_flight
    )
    connection = await asyncpg.connect(plain_url(task.url))
    # One caller is best served by the bare connection, several by the pool.
    sequential = Queries.from_asyncpg_connection(connection)
    queries = Queries.from_asyncpg_pool(pool) if task.in_flight > 1 else sequential
    await sequential.install()

    async def save_one(number: int) -> None:
        await queries.enqueue(ENTRYPOINT, json.dumps(payload(number)).encode())

    await shared_out(range(WARM_UP), task.in_flight, save_one)
    await connection.execute("CHECKPOINT")
    meter = Meter(task.server_pid)
    meter.start()
    with profiler:
        await shared_out(range(task.jobs), task.in_flight, save_one)
    sample = meter.sample(task.jobs)
    await _verify(queries, task.jobs + WARM_UP)
    await pool.close()
    await connection.close()
    return sample


async def bulk(task: Task, profiler: Profiler) -> Sample:
    """Save jobs, `batch` in a call."""
    connection = await asyncpg.connect(plain_url(task.url))
    queries = Queries.from_asyncpg_connection(connection)
    await queries.install()
    await save_bulk(queries, 0, task.batch)
    await connection.execute("CHECKPOINT")
    meter = Meter(task.server_pid)
    meter.start()
    with profiler:
        await save_bulk(queries, task.batch, task.batch + task.jobs, task.batch)
    sample = meter.sample(task.jobs)
    await _verify(queries, task.jobs + task.batch)
    await connection.close()
    return sample


async def save_bulk(queries: Queries, start: int, end: int, size: int = BULK) -> None:
    """Save the jobs of these numbers, `size` in a call."""
    for first in range(start, end, size):
        numbers = range(first, min(first + size, end))
        payloads: list[bytes | None] = [json.dumps(payload(n)).encode() for n in numbers]
        await queries.enqueue([ENTRYPOINT] * len(numbers), payloads, [0] * len(numbers))


async def _verify(queries: Queries, jobs: int) -> None:
    found = sum(entry.count for entry in await queries.queue_size())
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
