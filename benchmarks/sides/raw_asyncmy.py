"""asyncmy without the store, on uvloop: the same pump, a connection for whatever is under way."""

from __future__ import annotations

import json
from typing import Any

import asyncmy
import sqlalchemy as sa
import uvloop

from benchmarks import raw_sql
from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.pump import AT_ONCE, Pump
from benchmarks.raw_sql import Row
from benchmarks.side import Profiler, main
from benchmarks.workload import QUEUE, WARM_UP, shared_out


async def drain(task: Task, profiler: Profiler) -> Sample:
    """Work off `jobs` jobs."""
    ledger, meter = Ledger(), Meter(task.server_pid)
    raw_sql.create_tables(task.url, task.jobs)
    connections = [await _connect(task.url, autocommit=False) for _ in range(2 * AT_ONCE)]
    idle = list(connections)

    async def fetch(n: int) -> list[Row]:
        connection = idle.pop()
        async with connection.cursor() as cursor:
            await cursor.execute(raw_sql.MYSQL_CANDIDATES, (QUEUE, QUEUE, n))
            rows: list[Row] = await cursor.fetchall()
            if rows:
                await cursor.execute(raw_sql.MYSQL_CLAIM, ("raw", tuple(row[0] for row in rows)))
        await connection.commit()
        idle.append(connection)
        return rows

    async def noop(row: Row) -> None:
        json.loads(row[25])
        ledger.record(row[0])

    async def finish(done: list[tuple[Row, object]]) -> None:
        connection = idle.pop()
        async with connection.cursor() as cursor:
            await cursor.execute(raw_sql.MYSQL_FINISH, (raw_sql.outcomes(done),))
            if cursor.rowcount != len(done):
                raise RuntimeError("a lease was lost")
            await cursor.execute(raw_sql.MYSQL_TALLY, (QUEUE, len(done)))
        await connection.commit()
        idle.append(connection)
        ledger.settle()

    meter.start()
    with profiler:
        await Pump(fetch, noop, finish, task.batch).run()
    sample = ledger.sample(meter)
    ledger.verify(task.jobs, await _count(idle[0], raw_sql.UNFINISHED))
    for connection in connections:
        connection.close()
    return sample


async def save(task: Task, profiler: Profiler) -> Sample:
    """Save single jobs, `in_flight` at a time, over as many connections."""
    raw_sql.create_tables(task.url)
    connections = [await _connect(task.url, autocommit=True) for _ in range(task.in_flight)]
    idle = list(connections)

    async def save_one(number: int) -> None:
        connection = idle.pop()
        async with connection.cursor() as cursor:
            await cursor.execute(raw_sql.MYSQL_INSERT, raw_sql.new_row(number))
        idle.append(connection)

    await shared_out(range(WARM_UP), task.in_flight, save_one)
    meter = Meter(task.server_pid)
    meter.start()
    with profiler:
        await shared_out(range(task.jobs), task.in_flight, save_one)
    sample = meter.sample(task.jobs)
    if await _count(connections[0], raw_sql.WAITING) != task.jobs + WARM_UP:
        raise RuntimeError("not every job was saved")
    for connection in connections:
        connection.close()
    return sample


async def _connect(url: str, *, autocommit: bool) -> Any:
    made = sa.make_url(url)
    connection = await asyncmy.connect(
        host=made.host, port=made.port, user=made.username, database=made.database
    )
    async with connection.cursor() as cursor:
        await cursor.execute(raw_sql.MYSQL_SESSION, (autocommit,))
    return connection


async def _count(connection: Any, statement: str) -> int:
    async with connection.cursor() as cursor:
        await cursor.execute(statement)
        return int((await cursor.fetchone())[0])


if __name__ == "__main__":
    main(
        {
            "drain": lambda task, profiler: uvloop.run(drain(task, profiler)),
            "save": lambda task, profiler: uvloop.run(save(task, profiler)),
        }
    )
