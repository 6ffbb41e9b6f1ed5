"""asyncpg without the store, on uvloop: the limit of any save on PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable

import asyncpg  # type: ignore[import-untyped]  # it has no types
import uvloop

from benchmarks import raw_sql
from benchmarks.measure import Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Profiler, main
from benchmarks.workload import WARM_UP, plain_url, shared_out


async def save(task: Task, profiler: Profiler) -> Sample:
    """Save single jobs, `in_flight` at a time, over as many connections."""
    raw_sql.create_tables(task.url)
    connections = [await asyncpg.connect(plain_url(task.url)) for _ in range(task.in_flight)]
    idle = list(connections)

    async def save_one(number: int) -> None:
        connection = idle.pop()
        await connection.execute(raw_sql.POSTGRESQL_INSERT, *raw_sql.new_row(number)[:-1])
        idle.append(connection)

    await shared_out(range(WARM_UP), task.in_flight, save_one)
    sample = await _measured(
        task, profiler, connections[0], shared_out(range(task.jobs), task.in_flight, save_one)
    )
    for connection in connections:
        await connection.close()
    return sample


async def bulk(task: Task, profiler: Profiler) -> Sample:
    """Save jobs, `batch` in a call."""
    raw_sql.create_tables(task.url)
    connection = await asyncpg.connect(plain_url(task.url))

    async def save_all(jobs: int) -> None:
        for first in range(0, jobs, task.batch):
            rows = [raw_sql.new_row(number) for number in range(first, first + task.batch)]
            queues, ids, names, states, payloads, _ = zip(*rows, strict=True)
            await connection.execute(
                raw_sql.POSTGRESQL_BULK, queues[0], ids, names[0], states[0], payloads
            )

    await save_all(task.batch)
    sample = await _measured(task, profiler, connection, save_all(task.jobs))
    await connection.close()
    return sample


async def _measured(
    task: Task, profiler: Profiler, connection: asyncpg.Connection, work: Awaitable[None]
) -> Sample:
    await connection.execute("CHECKPOINT")
    before = await connection.fetchval(raw_sql.WAITING)
    meter = Meter(task.server_pid)
    meter.start()
    with profiler:
        await work
    sample = meter.sample(task.jobs)
    if await connection.fetchval(raw_sql.WAITING) - before != task.jobs:
        raise RuntimeError("not every job was saved")
    return sample


if __name__ == "__main__":
    main(
        {
            "save": lambda task, profiler: uvloop.run(save(task, profiler)),
            "bulk": lambda task, profiler: uvloop.run(bulk(task, profiler)),
        }
    )
