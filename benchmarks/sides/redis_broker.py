"""AsyncRedisBroker on uvloop, with AsyncRedisStorage beside it where payloads are asked for."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import uvloop

from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.pump import Pump
from benchmarks.side import Profiler, main
from benchmarks.workload import BULK, QUEUE, median_wake, payload
from oqron_sql.contract.adapters import Claim, Message
from oqron_sql.contract.ids import new_id
from oqron_sql.redis import AsyncRedisBroker, AsyncRedisStorage, RedisConnection

LOCK, ME = timedelta(seconds=30), "consumer"


async def drain(task: Task, profiler: Profiler, *, documents: bool = False) -> Sample:
    """Work off `jobs` ids; with `documents`, each has one that is read before it is handled."""
    ledger, meter = Ledger(), Meter(task.server_pid)
    async with RedisConnection(task.url) as connection:
        broker, storage = AsyncRedisBroker(connection), AsyncRedisStorage(connection)
        ids = [new_id() for _ in range(task.jobs)]
        for first in range(0, task.jobs, BULK):
            some = ids[first : first + BULK]
            if documents:
                await storage.bulk_save(QUEUE, [(each, payload(n)) for n, each in enumerate(some)])
            await broker.publish_batch(QUEUE, [Message(each) for each in some])

        async def fetch(n: int) -> list[Claim]:
            claims = await broker.claim(QUEUE, ME, n, LOCK)
            if documents and len(await storage.get_many(QUEUE, claims)) != len(claims):
                raise RuntimeError("a document is missing")
            return claims

        async def noop(claim: Claim) -> None:
            ledger.record(str(claim))

        async def finish(done: list[tuple[Claim, object]]) -> None:
            acked = await asyncio.gather(*(broker.ack(QUEUE, claim) for claim, _ in done))
            ledger.settle()
            if not all(acked):
                raise RuntimeError("a claim was lost")

        meter.start()
        with profiler:
            await Pump(fetch, noop, finish, task.batch).run()
        sample = ledger.sample(meter)
        ledger.verify(task.jobs, await broker.size(QUEUE))
    return sample


async def wake(task: Task, profiler: Profiler) -> Sample:
    """Publish `jobs` ids, one after another, to a process that waits; half a second is warm-up."""
    meter = Meter(task.server_pid)
    async with RedisConnection(task.url) as waits, RedisConnection(task.url) as publishes:
        taker, giver = AsyncRedisBroker(waits), AsyncRedisBroker(publishes)

        async def take() -> None:
            claim = await taker.claim_blocking(QUEUE, ME, LOCK, LOCK)
            if claim is None:
                raise RuntimeError("nothing came")
            taken.set_result(time.perf_counter())
            await taker.ack(QUEUE, claim)

        meter.start()
        latencies = []
        for number in range(task.jobs):
            taken: asyncio.Future[float] = asyncio.get_running_loop().create_future()
            taking = asyncio.create_task(take())
            await asyncio.sleep(0.003)  # so that it waits
            begun = time.perf_counter()
            await giver.publish(QUEUE, str(number))
            latencies.append(await taken - begun)
            await taking
    return median_wake(latencies, meter)


if __name__ == "__main__":
    main(
        {
            "drain": lambda task, profiler: uvloop.run(drain(task, profiler)),
            "drain_documents": lambda task, profiler: uvloop.run(
                drain(task, profiler, documents=True)
            ),
            "wake": lambda task, profiler: uvloop.run(wake(task, profiler)),
        }
    )
