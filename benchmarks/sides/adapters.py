"""The adapters on SQL: single calls, of which the median counts."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from benchmarks.measure import Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Action, Profiler, main
from benchmarks.tidy import settle_database
from benchmarks.workload import QUEUE
from oqron_sql.adapters.async_sql import AsyncSQLAdapters
from oqron_sql.contract.adapters import Message
from oqron_sql.contract.ids import new_id
from oqron_sql.queries.tx import Tx

HOUR, ME, SPACE = timedelta(hours=1), "me", "things"
CLAIMS, BULK = 300, 10_000


def claim(task: Task, profiler: Profiler, *, strategy: str) -> Sample:
    """Claim `batch` ids again and again, `jobs` waiting; acknowledged and published anew."""
    return asyncio.run(_claim(task, profiler, strategy))


async def _claim(task: Task, profiler: Profiler, strategy: str) -> Sample:
    meter, took = Meter(task.server_pid), []
    async with AsyncSQLAdapters(task.url) as adapters:
        broker = adapters.broker
        await adapters.store.run(partial(fill, waiting=task.jobs))
        settle_database(task.url)
        meter.start()
        with profiler:
            for _ in range(CLAIMS):
                begun = time.perf_counter()
                claims = await broker.claim(QUEUE, ME, task.batch, HOUR, strategy)
                took.append(time.perf_counter() - begun)
                if len(claims) != task.batch:
                    raise RuntimeError("too few were claimed")
                for each in claims:
                    await broker.ack(QUEUE, each)
                await broker.publish_batch(QUEUE, [Message(each) for each in claims])
        sample = _median(meter, took)
        if await broker.size(QUEUE) != task.jobs:
            raise RuntimeError("ids were lost")
    return sample


def fill(tx: Tx, waiting: int) -> None:
    """Let so many ids wait, as if they had been published one after the other."""
    tx.conn.exec_driver_sql(
        f"INSERT INTO {tx.tables.messages.name} (broker, id, state, priority, place) "
        f"SELECT '{QUEUE}', 'id-' || n, 'waiting', n % 5, now() - interval '1 ms' * ({waiting} - n)"
        f" FROM generate_series(1, {waiting}) AS n"
    )


def wake(task: Task, profiler: Profiler) -> Sample:
    """Wait `jobs` times for an id that another process publishes."""
    return asyncio.run(_wake(task, profiler))


async def _wake(task: Task, profiler: Profiler) -> Sample:
    meter, took = Meter(task.server_pid), []
    async with AsyncSQLAdapters(task.url) as adapters:
        publisher = subprocess.Popen(  # noqa: ASYNC220 - before the clock starts
            [sys.executable, "-m", "benchmarks.sides.publisher", task.url, QUEUE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        meter.start()
        with profiler:
            for number in range(-10, task.jobs):
                waiting = asyncio.create_task(
                    adapters.broker.claim_blocking(QUEUE, ME, HOUR, timedelta(seconds=10))
                )
                await asyncio.sleep(0.02)
                told = asyncio.create_task(asyncio.to_thread(_publish, publisher))
                claimed, now = await waiting, time.time()
                if claimed is None:
                    raise RuntimeError("nobody was woken")
                if number >= 0:
                    took.append(now - await told)
                await told
                await adapters.broker.ack(QUEUE, claimed)
        publisher.kill()
        publisher.communicate()
    return _median(meter, took)


def _publish(publisher: subprocess.Popen[str]) -> float:
    """Have an id published; return the instant before."""
    assert publisher.stdin
    assert publisher.stdout
    publisher.stdin.write("go\n")
    publisher.stdin.flush()
    return float(publisher.stdout.readline())


def prune(task: Task, profiler: Profiler) -> Sample:
    """Prune `jobs` documents of twice as many."""
    return asyncio.run(_prune(task, profiler))


async def _prune(task: Task, profiler: Profiler) -> Sample:
    old, meter = datetime(2020, 1, 1, tzinfo=UTC), Meter(task.server_pid)
    async with AsyncSQLAdapters(task.url) as adapters:
        for first in range(0, 2 * task.jobs, BULK):
            records: Sequence[tuple[str, Mapping[str, Any]]] = [
                (new_id(), {"n": n, "createdAt": old} if n % 2 else {"n": n})
                for n in range(first, first + BULK)
            ]
            await adapters.storage.bulk_save(SPACE, records)
        settle_database(task.url)
        meter.start()
        with profiler:
            if await adapters.storage.prune(SPACE, old + HOUR) != task.jobs:
                raise RuntimeError("other documents were pruned")
        return meter.sample(task.jobs)


def _median(meter: Meter, took: list[float]) -> Sample:
    return meter.sample(len(took), window=len(took) * statistics.median(took))


ACTIONS: dict[str, Action] = {
    **{each: partial(claim, strategy=each) for each in ("fifo", "lifo", "priority")},
    "wake": wake,
    "prune": prune,
}

if __name__ == "__main__":
    main(ACTIONS)
