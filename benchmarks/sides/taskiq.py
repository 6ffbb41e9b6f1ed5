"""taskiq-redis as taskiq's command line runs it: uvloop, one process, its own Receiver."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import redis.asyncio as aioredis
import uvloop
from taskiq import AckableMessage
from taskiq.receiver import Receiver
from taskiq_redis import ListQueueBroker, RedisStreamBroker

from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Profiler, main
from benchmarks.workload import median_wake, payload

FILLING = 100
AT_ONCE = 100  # as its command line has it
PATIENCE = 5.0  # seconds; it ends when its blocking read does


async def drain(
    task: Task, profiler: Profiler, kind: type[ListQueueBroker | RedisStreamBroker]
) -> Sample:
    """Work off `jobs` tasks: a stream, which is acknowledged, or a list, which is not."""
    ledger, meter = Ledger(), Meter(task.server_pid)
    broker = kind(task.url)
    done = asyncio.Event()

    @broker.task
    async def noop(data: dict[str, int]) -> None:
        ledger.record(data["n"])
        if len(ledger.ids) == task.jobs:
            done.set()

    await broker.startup()
    await _fill(noop, task.jobs)
    receiver = Receiver(broker, max_async_tasks=AT_ONCE, run_startup=False)
    meter.start()
    with profiler:
        listening = asyncio.create_task(receiver.listen(done))
        await done.wait()
        left = await _left(task.url, kind)
        ledger.settle()
    sample = ledger.sample(meter)
    ledger.verify(task.jobs, left)
    await asyncio.wait([listening], timeout=PATIENCE)
    await broker.shutdown()
    return sample


async def drain_bare(task: Task, profiler: Profiler) -> Sample:
    """Read and acknowledge a stream through the broker alone, without the receiver."""
    ledger, meter = Ledger(), Meter(task.server_pid)
    broker = RedisStreamBroker(task.url)
    await broker.startup()
    await _fill(broker.register_task(_nothing, "noop"), task.jobs)
    turns = asyncio.Semaphore(AT_ONCE)

    async def handle(message: AckableMessage) -> None:
        ledger.record(json.loads(message.data)["args"][0]["n"])
        await message.ack()  # type: ignore[misc]  # of this broker it is to be awaited
        turns.release()

    meter.start()
    with profiler:
        async with asyncio.TaskGroup() as handling:
            received = 0
            async for message in broker.listen():
                await turns.acquire()
                handling.create_task(handle(message))
                received += 1
                if received == task.jobs:
                    break
        ledger.settle()
    sample = ledger.sample(meter)
    ledger.verify(task.jobs, await _left(task.url, RedisStreamBroker))
    await broker.shutdown()
    return sample


async def wake(task: Task, profiler: Profiler) -> Sample:
    """Send `jobs` tasks, one after another, to a receiver that waits."""
    meter = Meter(task.server_pid)
    broker = RedisStreamBroker(task.url)
    taken: asyncio.Future[float]

    @broker.task
    async def noop(data: dict[str, int]) -> None:
        taken.set_result(time.perf_counter())

    await broker.startup()
    receiver = Receiver(broker, max_async_tasks=AT_ONCE, run_startup=False)
    finished = asyncio.Event()
    listening = asyncio.create_task(receiver.listen(finished))
    meter.start()
    latencies = []
    for number in range(task.jobs):
        taken = asyncio.get_running_loop().create_future()
        await asyncio.sleep(0.003)  # so that it waits
        begun = time.perf_counter()
        await noop.kiq(payload(number))
        latencies.append(await taken - begun)
    sample = median_wake(latencies, meter)
    finished.set()
    await asyncio.wait([listening], timeout=PATIENCE)
    await broker.shutdown()
    return sample


async def _nothing(data: dict[str, int]) -> None:
    """Be a task that is sent, and never called."""


async def _fill(task: Any, jobs: int) -> None:
    for first in range(0, jobs, FILLING):
        numbers = range(first, min(first + FILLING, jobs))
        await asyncio.gather(*(task.kiq(payload(number)) for number in numbers))


async def _left(url: str, kind: type[object]) -> int:
    """Return how many tasks are left, once none is being acknowledged any more."""
    async with aioredis.Redis.from_url(url) as client:
        if kind is ListQueueBroker:
            return int(await client.llen("taskiq"))
        for _ in range(2000):
            pending: Any = await client.xpending("taskiq", "taskiq")
            if not pending["pending"]:
                break
            await asyncio.sleep(0.001)
        return int(pending["pending"])


if __name__ == "__main__":
    main(
        {
            "drain": lambda task, profiler: uvloop.run(drain(task, profiler, RedisStreamBroker)),
            "drain_list": lambda task, profiler: uvloop.run(drain(task, profiler, ListQueueBroker)),
            "drain_bare": lambda task, profiler: uvloop.run(drain_bare(task, profiler)),
            "wake": lambda task, profiler: uvloop.run(wake(task, profiler)),
        }
    )
