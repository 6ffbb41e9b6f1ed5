"""Claiming in bounded steps, waking in time, and giving up without a trace."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import redis

from oqron_sql.contract.adapters import BrokerCounts, Claim, Message
from oqron_sql.errors import ClaimLost
from oqron_sql.redis import AsyncRedisBroker, AsyncRedisLock, listener, queue, room
from oqron_sql.testing.adapters.steps import until
from tests.proxy import Proxy
from tests.redis.harness import RedisHarness
from tests.servers import Server

Q, ME = "queue", "consumer-1"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MANY = 1200
Asleep = Callable[..., Awaitable[None]]


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> Asleep:
    """What waits until callers of a broker wait, whom only a call can wake."""
    monkeypatch.setattr(room, "LONGEST_SLEEP", 60.0)
    looked: list[room.Room] = []
    expect = room.Room.expect

    def noting(at: room.Room, seconds: float | None) -> None:
        looked.append(at)
        expect(at, seconds)

    monkeypatch.setattr(room.Room, "expect", noting)

    async def wait(broker: AsyncRedisBroker, n: int = 1) -> None:
        await until(lambda: len(looked) >= n)
        desk = broker._desks[Q]
        await broker._connection.listener.confirmed(desk.queue.wake_channel)
        waiting: Any = desk.claiming._room
        await until(lambda: len(waiting._uncalled) == n)

    return wait


async def test_claims_are_known_after_a_server_lost_its_data(
    harness: RedisHarness, server: Server
) -> None:
    """By the process that made them, which need not name the broker."""
    broker = AsyncRedisBroker(await harness.connection())
    await broker.publish(Q, "before")
    await broker.claim(Q, ME, 1, MINUTE)
    with redis.Redis(port=server.port) as client:
        client.flushall()
    await broker.publish(Q, "after")
    (held,) = await broker.claim(Q, ME, 1, MINUTE)
    await broker.extend_lock(held, ME, HOUR)
    with pytest.raises(ClaimLost):
        await broker.extend_lock("before", ME, HOUR)


@pytest.mark.parametrize("strategy", ["fifo", "lifo", "priority"])
async def test_what_falls_due_at_once_is_let_wait_in_steps(
    harness: RedisHarness, server: Server, strategy: str
) -> None:
    """Nobody gets an id before it is known that no other comes before it."""
    broker = AsyncRedisBroker(await harness.connection())
    await broker.publish_batch(
        Q, [Message(f"{n:04}", MINUTE + timedelta(seconds=n), MANY - n) for n in range(MANY)]
    )
    await harness.advance(HOUR)
    assert await broker.counts(Q) == BrokerCounts(waiting=MANY)
    with redis.Redis(port=server.port) as client:
        assert await broker.claim("so that the script is known", ME, 1, MINUTE) == []
        before = scripts_run(client)
        first = await broker.claim(Q, ME, 1, MINUTE, strategy)
        assert scripts_run(client) - before == MANY // queue.BOUND + 1
        before = scripts_run(client)
        rest = await broker.claim(Q, ME, MANY, MINUTE, strategy)
        assert scripts_run(client) - before == MANY // queue.BOUND + 1
    ids = [f"{n:04}" for n in range(MANY)]
    assert [*first, *rest] == (ids if strategy == "fifo" else ids[::-1])
    assert len({claim.token for claim in rest}) == 1


def scripts_run(client: redis.Redis) -> int:
    told: Any = client.info("commandstats")
    return sum(int(told.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha", "eval"))


async def test_calls_at_the_same_time_share_scripts(harness: RedisHarness, server: Server) -> None:
    broker = AsyncRedisBroker(await harness.connection())
    await broker.publish(Q, "first")
    await broker.ack(Q, "first")
    with redis.Redis(port=server.port) as client:
        before = scripts_run(client)
        await asyncio.gather(*(broker.publish(Q, f"{n:02}") for n in range(50)))
        claims = await broker.claim(Q, ME, 50, MINUTE)
        assert claims == [f"{n:02}" for n in range(50)]
        assert all(await asyncio.gather(*(broker.ack(Q, claim) for claim in claims)))
        assert scripts_run(client) - before == 3


async def test_who_is_cancelled_claims_nothing(harness: RedisHarness) -> None:
    """Wherever it is: before the claim is sent, while it is carried out, or while it waits."""
    broker = AsyncRedisBroker(await harness.connection())
    dice = random.Random(7)
    kept: list[Claim] = []
    cancelled = 0
    await broker.publish_batch(Q, [Message(f"id-{n}") for n in range(200)])
    for n in range(150):
        call: Any = (
            broker.claim_blocking(Q, ME, HOUR, HOUR) if n % 2 else broker.claim(Q, ME, 2, HOUR)
        )
        task = asyncio.create_task(call)
        await asyncio.sleep(dice.choice([0, 0.0002, 0.0005, 0.001]))
        task.cancel()
        try:
            found = await task
        except asyncio.CancelledError:
            cancelled += 1
        else:
            kept += found if isinstance(found, list) else [found]
    assert await broker.counts(Q) == BrokerCounts(waiting=200 - len(kept), claimed=len(kept))
    left = await broker.claim(Q, ME, 200, HOUR)
    assert {claim.deliveries for claim in left} == {1}
    assert sorted([*left, *kept]) == sorted(f"id-{n}" for n in range(200))
    assert cancelled >= 20  # those that are not even sent, at least


async def test_a_call_passes_from_who_leaves_to_who_stays(
    harness: RedisHarness, asleep: Asleep
) -> None:
    broker = AsyncRedisBroker(await harness.connection())
    waiting = [asyncio.create_task(broker.claim_blocking(Q, ME, HOUR, MINUTE)) for _ in range(20)]
    await asleep(broker, 20)
    for n in range(10):
        await broker.publish(Q, f"id-{n}")
        waiting[n].cancel()

    def claimed() -> list[str]:
        done = [task for task in waiting if task.done() and not task.cancelled()]
        return sorted(str(task.result()) for task in done)

    await until(lambda: claimed() == [f"id-{n}" for n in range(10)])
    assert await broker.counts(Q) == BrokerCounts(claimed=10)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_each_id_that_falls_due_wakes_somebody(harness: RedisHarness, asleep: Asleep) -> None:
    """Also after the one who was woken for the id before it has left with that."""
    broker = AsyncRedisBroker(await harness.connection())
    for n in (1, 2):
        await broker.publish(Q, f"id-{n}", delay=timedelta(seconds=n))
    waiting = [asyncio.create_task(broker.claim_blocking(Q, ME, HOUR, MINUTE)) for _ in range(2)]
    await asleep(broker, 2)
    claimed = await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert sorted(map(str, claimed)) == ["id-1", "id-2"]


async def test_what_was_not_heard_is_seen_when_it_hears_again(
    harness: RedisHarness, proxy: Proxy, asleep: Asleep
) -> None:
    others = AsyncRedisBroker(await harness.connection())
    harness.url = f"redis://127.0.0.1:{proxy.port}"
    broker = AsyncRedisBroker(await harness.connection())
    waiting = asyncio.create_task(broker.claim_blocking(Q, ME, HOUR, MINUTE))
    await asleep(broker)
    proxy.is_down = True
    proxy.break_all()
    await others.publish(Q, "a")
    await until(lambda: proxy.refused)
    assert not waiting.done()
    proxy.is_down = False
    begun = time.monotonic()
    assert await waiting == "a"
    assert time.monotonic() - begun < 5


async def test_a_silent_server_is_left(
    harness: RedisHarness, proxy: Proxy, asleep: Asleep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network swallows everything, and nothing says that the connection is gone."""
    monkeypatch.setattr(listener, "SILENCE", 0.2)
    others = AsyncRedisBroker(await harness.connection())
    harness.url = f"redis://127.0.0.1:{proxy.port}?socket_timeout=0.5"
    broker = AsyncRedisBroker(await harness.connection())
    waiting = asyncio.create_task(broker.claim_blocking(Q, ME, HOUR, MINUTE))
    await asleep(broker)
    proxy.swallow()
    await others.publish(Q, "a")
    assert await asyncio.wait_for(waiting, 10) == "a"


async def test_one_of_a_hundred_takes_the_lock(harness: RedisHarness) -> None:
    locks = [AsyncRedisLock(await harness.connection()) for _ in range(10)]
    last = 0
    for _ in range(5):
        fences = await asyncio.gather(
            *(locks[n % 10].acquire("key", f"owner-{n}", MINUTE) for n in range(100))
        )
        (won,) = [n for n, fence in enumerate(fences) if fence is not None]
        fence = fences[won]
        assert fence is not None
        assert fence > last
        last = fence
        assert await locks[0].release("key", f"owner-{won}")
