"""How soon a Worker begins a job that another process adds."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import statistics
import sys
import time

import uvloop

from benchmarks.measure import Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Profiler, main
from benchmarks.workload import QUEUE
from oqron_sql import AsyncSQLStore, Context, Worker

WARM_UP = 50


async def wake(task: Task, profiler: Profiler) -> Sample:
    """Let `jobs` jobs be added, one by one, each while the worker is idle."""
    begun: asyncio.Queue[float] = asyncio.Queue()
    async with AsyncSQLStore(task.url) as store:
        worker = Worker(QUEUE, store)

        @worker.handler("noop")
        async def noop(context: Context[int]) -> None:
            begun.put_nowait(time.perf_counter())

        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "benchmarks.sides.adder", task.url)
        adder = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        meter = Meter(task.server_pid)
        try:
            async with worker:
                assert adder.stdout is not None
                await adder.stdout.readline()
                await _add(adder, begun, min(WARM_UP, task.jobs))
                meter.start()
                with profiler:
                    waits = await _add(adder, begun, task.jobs)
                sample = meter.sample(task.jobs)
        finally:
            adder.kill()
            await adder.communicate()
    whole, after_commit = ([pair[n] * 1000 for pair in waits] for n in (0, 1))
    percentiles = statistics.quantiles(whole, n=100)
    figures = {
        "p50 ms": percentiles[49],
        "p99 ms": percentiles[98],
        "p50 ms after the add": statistics.median(after_commit),
    }
    return dataclasses.replace(sample, figures=figures)


async def _add(
    adder: asyncio.subprocess.Process, begun: asyncio.Queue[float], jobs: int
) -> list[tuple[float, float]]:
    """Return how long each took, from before it was added, and from when that had returned."""
    assert adder.stdin is not None
    assert adder.stdout is not None
    waits = []
    for _ in range(jobs):
        await asyncio.sleep(random.uniform(0.03, 0.05))  # what the last one left to do is done
        adder.stdin.write(b"add\n")
        words = (await adder.stdout.readline()).split()
        at = await begun.get()
        waits.append((at - float(words[0]), at - float(words[1])))
    return waits


if __name__ == "__main__":
    main({"wake": lambda task, profiler: uvloop.run(wake(task, profiler))})
