"""What is special about the adapters in memory; what all adapters do is in the conformance kit."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from oqron_sql.contract import Clock
from oqron_sql.contract.adapters import Claim, Message, Strategy
from oqron_sql.errors import ClaimLost
from oqron_sql.memory import (
    AsyncMemoryBroker,
    MemoryBroker,
    MemoryLock,
    MemoryLocks,
    MemoryQueues,
    MemoryStorage,
)

QUEUE = "queue"
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
CALLERS = 8


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads be switched so often that a missing lock is noticed."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A clock that moves when it is told to, and not otherwise."""
    with time_machine.travel(NOON, tick=False):
        yield Clock()


def test_a_claim_is_over_at_its_deadline(clock: Clock) -> None:
    broker = MemoryBroker(clock=clock)
    broker.publish(QUEUE, "a")
    broker.publish(QUEUE, "b", delay=MINUTE)
    (held,) = broker.claim(QUEUE, "me", 9, MINUTE)
    clock.advance(MINUTE - timedelta.resolution)
    broker.extend_lock(held, "me", timedelta.resolution, QUEUE)
    assert broker.claim(QUEUE, "other", 9, MINUTE) == []
    clock.advance(timedelta.resolution)
    with pytest.raises(ClaimLost):
        broker.extend_lock(held, "me", MINUTE, QUEUE)
    assert broker.claim(QUEUE, "other", 9, MINUTE) == ["a", "b"]


def test_a_lock_is_over_at_its_deadline(clock: Clock) -> None:
    """Nobody's and free in the same instant: neither renewed nor owned, and to be had."""
    lock = MemoryLock(clock=clock)
    lock.acquire("key", "me", MINUTE)
    clock.advance(MINUTE - timedelta.resolution)
    assert lock.is_owner("key", "me") is True
    assert lock.acquire("key", "other", MINUTE) is None
    clock.advance(timedelta.resolution)
    assert lock.is_owner("key", "me") is False
    assert lock.renew("key", "me", MINUTE) is False
    assert lock.release("key", "me") is False
    assert lock.acquire("key", "other", MINUTE) is not None


def test_a_document_of_the_very_instant_is_not_pruned(clock: Clock) -> None:
    storage = MemoryStorage(clock=clock)
    storage.save("things", "a", 1)
    assert storage.prune("things", NOON) == 0
    assert storage.prune("things", NOON + timedelta.resolution) == 1


def test_ids_of_one_instant_keep_the_order_of_publication(clock: Clock) -> None:
    broker = MemoryBroker(clock=clock)
    for each in "zay":
        broker.publish(QUEUE, each)
    broker.publish(QUEUE, "due", delay=MINUTE)
    clock.advance(MINUTE)
    broker.publish(QUEUE, "b")
    assert broker.claim(QUEUE, "me", 2, MINUTE, "lifo") == ["b", "due"]
    assert broker.claim(QUEUE, "me", 9, MINUTE) == ["z", "a", "y"]


@pytest.mark.usefixtures("eager_threads")
def test_threads_claim_each_id_once() -> None:
    data = MemoryQueues()
    ids = [f"id-{n}" for n in range(400)]
    MemoryBroker(data).publish_batch(QUEUE, [Message(each) for each in ids])

    def work(number: int) -> list[Claim]:
        broker, taken = MemoryBroker(data), list[Claim]()
        while found := broker.claim(
            QUEUE, f"consumer-{number}", 3, MINUTE, [*Strategy][number % 3]
        ):
            taken += found
        return taken

    with ThreadPoolExecutor(CALLERS) as threads:
        taken = [each for part in threads.map(work, range(CALLERS)) for each in part]
    assert sorted(taken) == sorted(ids)


@pytest.mark.usefixtures("eager_threads")
def test_threads_take_a_lock_one_at_a_time() -> None:
    data, inside, numbers = MemoryLocks(), list[int](), list[int]()

    def work(number: int) -> None:
        lock = MemoryLock(data)
        for _ in range(20):
            while (fence := lock.acquire("key", f"owner-{number}", MINUTE)) is None:
                time.sleep(0)
            inside.append(number)
            assert inside == [number]
            numbers.append(fence)
            inside.clear()
            assert lock.release("key", f"owner-{number}")

    with ThreadPoolExecutor(CALLERS) as threads:
        list(threads.map(work, range(CALLERS)))
    assert numbers == sorted(set(numbers))
    assert len(numbers) == CALLERS * 20


async def test_threads_and_coroutines_wake_each_other() -> None:
    data = MemoryQueues()
    blocking, awaiting = MemoryBroker(data), AsyncMemoryBroker(data)

    def consume() -> list[str]:
        return [str(blocking.claim_blocking(QUEUE, "thread", MINUTE, MINUTE)) for _ in range(50)]

    thread = asyncio.create_task(asyncio.to_thread(consume))
    for n in range(50):
        await awaiting.publish(QUEUE, f"id-{n}")
        await asyncio.sleep(0.0005 * (n % 2))
    assert await thread == [f"id-{n}" for n in range(50)]

    def produce() -> None:
        for n in range(50):
            blocking.publish("other", f"id-{n}")

    producing = asyncio.create_task(asyncio.to_thread(produce))
    for n in range(50):
        assert await awaiting.claim_blocking("other", "task", MINUTE, MINUTE) == f"id-{n}"
    await producing


async def test_a_claim_that_is_cut_short_wakes() -> None:
    broker = AsyncMemoryBroker()
    await broker.publish(QUEUE, "a")
    await broker.claim(QUEUE, "me", 1, MINUTE)
    waiting = asyncio.create_task(broker.claim_blocking(QUEUE, "other", MINUTE, MINUTE))
    await asyncio.sleep(0)
    await broker.extend_lock("a", "me", timedelta(milliseconds=1), QUEUE)
    async with asyncio.timeout(5):
        assert await waiting == "a"


async def test_handlers_of_both_shells_hear_each_other() -> None:
    data = MemoryQueues()
    blocking, awaiting = MemoryBroker(data), AsyncMemoryBroker(data)
    heard: list[tuple[str, bool]] = []
    here = threading.current_thread()

    def listener(name: str) -> Callable[[Any], None]:
        return lambda _: heard.append((name, threading.current_thread() is here))

    stop = blocking.subscribe("news", listener("blocking"))
    await awaiting.subscribe("news", listener("awaiting"))
    await asyncio.to_thread(blocking.broadcast, "news", 1)
    await asyncio.sleep(0)
    assert heard == [("blocking", False), ("awaiting", True)]
    stop()
    await awaiting.broadcast("news", 2)
    await asyncio.sleep(0)
    assert heard[2:] == [("awaiting", True)]


async def test_a_message_for_a_loop_that_is_gone_is_dropped() -> None:
    data, heard = MemoryQueues(), list[Any]()

    def elsewhere() -> None:
        asyncio.run(AsyncMemoryBroker(data).subscribe("news", heard.append))

    await asyncio.to_thread(elsewhere)
    await AsyncMemoryBroker(data).broadcast("news", 1)
    assert heard == []


async def test_nothing_is_left_of_a_drained_broker() -> None:
    data = MemoryQueues()
    broker = AsyncMemoryBroker(data)
    waiting = asyncio.create_task(broker.claim_blocking(QUEUE, "me", MINUTE, MINUTE))
    await asyncio.sleep(0)
    assert data.queues.keys() == {QUEUE}
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not data.queues
    await broker.publish(QUEUE, "a")
    for claimed in await broker.claim(QUEUE, "me", 1, MINUTE):
        await broker.ack(QUEUE, claimed)
    await broker.pause("paused")
    await broker.resume("paused")
    assert not data.queues


def test_what_is_over_is_forgotten_by_and_by() -> None:
    """Also by the orders of strategies that nobody uses any more."""
    data = MemoryQueues()
    broker = MemoryBroker(data)
    for strategy in Strategy:
        broker.publish(QUEUE, "first")
        (held,) = broker.claim(QUEUE, "me", 1, MINUTE, strategy)
        broker.ack(QUEUE, held)
    broker.publish(QUEUE, "stays")
    for n in range(2000):
        broker.publish(QUEUE, f"id-{n}", priority=-1)
        (held,) = broker.claim(QUEUE, "me", 1, MINUTE, Strategy.PRIORITY)
        broker.extend_lock(held, "me", MINUTE, QUEUE)
        broker.ack(QUEUE, held)
    queue = data.queues[QUEUE]
    heaps = [queue._delayed, queue._claimed, *queue._waiting.values()]
    assert max(len(heap._entries) for heap in heaps) <= 64
    assert broker.size(QUEUE) == 1


def test_a_backlog_does_not_slow_anything_down() -> None:
    """A step costs about the same with fifty times as many ids; a walk over them would not."""

    def best(backlog: int) -> float:
        broker = MemoryBroker()
        broker.publish_batch(QUEUE, [Message(f"old-{n}", priority=n % 7) for n in range(backlog)])
        for strategy in Strategy:
            broker.claim(QUEUE, "me", 1, MINUTE, strategy)
        spans = []
        for turn in range(7):
            begun = time.perf_counter()
            for n in range(30):
                broker.publish(QUEUE, f"new-{turn}-{n}", priority=n % 7)
                broker.publish(QUEUE, f"old-{n}")
                for claimed in broker.claim(QUEUE, "me", 1, MINUTE, [*Strategy][n % 3]):
                    broker.nack(QUEUE, claimed)
                broker.ack(QUEUE, f"new-{turn}-{n}")
                broker.counts(QUEUE)
            spans.append(time.perf_counter() - begun)
        return min(spans)

    assert best(50_000) < 10 * best(1_000)


def test_neither_sqlalchemy_nor_redis_is_imported() -> None:
    program = """
import asyncio, sys
from oqron_sql.adapters import create_adapters

async def main():
    async with create_adapters() as adapters:
        await adapters.storage.save("things", "a", 1)
        await adapters.broker.publish("queue", "a")
        await adapters.lock.acquire("key", "me", __import__("datetime").timedelta(seconds=1))

asyncio.run(main())
print([name for name in ("sqlalchemy", "alembic", "redis", "rich") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
