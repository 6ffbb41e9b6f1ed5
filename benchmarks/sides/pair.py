"""Two processes that share a queue; each is what `worker` and `pgqueuer` are alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types
import sqlalchemy as sa
import uvloop
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain import models
from pgqueuer.domain.types import QueueExecutionMode

from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Action, main
from benchmarks.sides import pgqueuer, worker
from benchmarks.tidy import settle_database
from benchmarks.workload import plain_url
from oqron_sql import AsyncSQLStore, Context
from oqron_sql.cli.worker_process import spare_collections

MEMBERS = 2
Share = Callable[[Task, Ledger], Awaitable[float]]
LEFT: Mapping[str, str] = {
    "worker": "SELECT count(*) FROM oqron_jobs WHERE state <> 'completed'",
    "pgqueuer": "SELECT count(*) FROM pgqueuer",
}


def drain(kind: str) -> Action:
    """Return what works off `jobs` jobs by two processes of that kind."""
    return lambda task, _: _drain(kind, task)


def _drain(kind: str, task: Task) -> Sample:
    uvloop.run(FILL[kind](task))
    settle_database(task.url)
    words = [sys.executable, "-m", "benchmarks.sides.pair", sys.argv[1], kind]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    members: list[Any] = [subprocess.Popen(words, **pipes) for _ in range(MEMBERS)]
    for member in members:
        member.stdout.readline()  # it is ready
    ledger, meter = Ledger(), Meter(task.server_pid)
    meter.start()
    for member in members:
        print("go", file=member.stdin, flush=True)
    _wait(task.url, LEFT[kind])
    told = [json.loads(member.communicate()[0]) for member in members]
    ledger.ids = [each for member in told for each in member["ids"]]
    ledger.starts = sorted(each for member in told for each in member["starts"])
    ledger.verify(task.jobs, 0)
    return ledger.sample(meter, members=sum(member["cpu"] for member in told))


def _wait(url: str, left: str) -> None:
    """Wait until nothing is left in the queue."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        while connection.exec_driver_sql(left).scalar_one():
            connection.commit()
            time.sleep(0.5)
    engine.dispose()


# -- a member --------------------------------------------------------------------------------------


async def _share(kind: str, task: Task) -> None:
    """Say that it is ready, work from the next line to the end of the input, tell what it did."""
    ledger = Ledger()
    begun = await SHARE[kind](task, ledger)
    cpu = time.process_time() - begun
    print(json.dumps({"ids": ledger.ids, "starts": ledger.starts, "cpu": cpu}), flush=True)


async def _begin() -> float:
    """Wait for the word to begin; return the processor time so far."""
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    return time.process_time()


async def _fill_ours(task: Task) -> None:
    async with AsyncSQLStore(task.url) as store:
        await worker.fill(store, task.jobs)


async def _share_ours(task: Task, ledger: Ledger) -> float:
    async with AsyncSQLStore(task.url) as store:
        one = worker.make(store, task)

        @one.handler("noop")
        async def noop(context: Context[dict[str, int]]) -> None:
            ledger.record(context.id)

        spare_collections()
        begun = await _begin()
        async with one:
            await asyncio.to_thread(sys.stdin.readline)
    return begun


async def _fill_theirs(task: Task) -> None:
    connection = await asyncpg.connect(plain_url(task.url))
    queries = Queries.from_asyncpg_connection(connection)
    await queries.install()
    await pgqueuer.save_bulk(queries, 0, task.jobs)
    await connection.close()


async def _share_theirs(task: Task, ledger: Ledger) -> float:
    connection = await asyncpg.connect(plain_url(task.url))
    manager = QueueManager(Queries.from_asyncpg_connection(connection))

    @manager.entrypoint(pgqueuer.ENTRYPOINT)
    async def noop(job: models.Job) -> None:
        ledger.record(int(job.id))

    begun = await _begin()
    await manager.run(batch_size=task.batch, mode=QueueExecutionMode.drain)
    await connection.close()
    return begun


FILL: Mapping[str, Callable[[Task], Any]] = {"worker": _fill_ours, "pgqueuer": _fill_theirs}
SHARE: Mapping[str, Share] = {"worker": _share_ours, "pgqueuer": _share_theirs}


if __name__ == "__main__":
    if len(sys.argv) > 2:
        uvloop.run(_share(sys.argv[2], Task(**json.loads(sys.argv[1]))))
    else:
        main({kind: drain(kind) for kind in FILL})
