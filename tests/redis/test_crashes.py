"""Processes and servers are killed: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis

from oqron_sql.contract.adapters import Message
from oqron_sql.contract.ids import new_id
from oqron_sql.redis import AsyncRedisBroker, AsyncRedisStorage, RedisConnection
from oqron_sql.testing.adapters.steps import until
from tests import servers
from tests.conftest import installed
from tests.forked import playing
from tests.redis.claimant import QUEUE, claimant
from tests.redis.harness import RedisHarness
from tests.redis.invariant import violations
from tests.servers import Server

PROCESSES, IDS = 4, 400
MINUTE = timedelta(minutes=1)


async def test_claimants_are_killed(server: Server, harness: RedisHarness) -> None:
    """Half of them, each at another step; what they held comes back, and is done once."""
    broker = AsyncRedisBroker(await harness.connection())
    ids = [f"id-{n}" for n in range(IDS)]
    await broker.publish_batch(QUEUE, [Message(each) for each in ids])
    with playing(*[(claimant, server.url("redis"))] * PROCESSES) as processes:
        for process in processes:
            process.say("go")
        victims, others = processes[: PROCESSES // 2], processes[PROCESSES // 2 :]
        said: list[Any] = []
        for steps, victim in enumerate(victims, 8):
            said += [victim.hear() for _ in range(steps)]
            said += victim.kill()
        for other in others:
            said += other.rest()
    acked = Counter(each for what, told in said if what == "acked" for each in told)
    assert set(acked.values()) == {1}, "an id was acknowledged twice"
    assert await broker.size(QUEUE) == 0
    untold = set(ids) - acked.keys()
    assert len(untold) <= len(victims), "ids are gone that nobody acknowledged"
    claimed = Counter(each for what, told in said if what == "claimed" for each in told)
    assert max(claimed.values()) > 1, "nothing had to come back"


async def test_the_server_is_killed() -> None:
    """With appendfsync always: what was answered is there, and who waits goes on waiting."""
    with installed(), servers.redis({"appendonly": "yes", "appendfsync": "always"}) as server:
        async with RedisConnection(server.url("redis")) as connection:
            broker, storage = AsyncRedisBroker(connection), AsyncRedisStorage(connection)
            heard: list[Any] = []
            await broker.subscribe("news", heard.append)
            waiting = asyncio.create_task(
                broker.claim_blocking("another", "me", MINUTE, 2 * MINUTE)
            )
            await broker.publish_batch("kept", [Message("claimed"), Message("handed back")])
            claims = await broker.claim("kept", "me", 2, MINUTE)
            await broker.nack("kept", claims[1])
            answered = [await killed_while_publishing(broker, server) for _ in range(2)]
            assert await broker.size("stream") >= sum(answered)
            assert await broker.ack("kept", claims[0])
            assert await broker.claim("kept", "me", 2, MINUTE) == ["handed back"]
            await storage.save("things", "a", 1)
            await broker.publish("another", "id")
            assert await waiting == "id"

            async def is_heard() -> None:
                while (
                    not heard
                ):  # a message is for those who listen, and this one has to begin anew
                    await broker.broadcast("news", "again")
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(is_heard(), 20)
            with redis.Redis(port=server.port) as client:
                assert violations([client]) == []


@pytest.mark.parametrize(
    ("settings", "kept"),
    [({}, False), ({"appendonly": "yes", "appendfsync": "everysec"}, True)],
    ids=["nothing", "everysec"],
)
async def test_what_a_killed_server_keeps(settings: dict[str, str], kept: bool) -> None:
    """The process, not the machine: what was handed to the operating system survives it."""
    with installed(), servers.redis(settings) as server:
        async with RedisConnection(server.url("redis")) as connection:
            broker = AsyncRedisBroker(connection)
            ids = [f"id-{n}" for n in range(200)]
            for each in ids:
                await broker.publish("queue", each)
            server.kill9()
            await asyncio.to_thread(server.start)
            assert await broker.claim("queue", "me", 300, MINUTE) == (ids if kept else [])


async def killed_while_publishing(broker: AsyncRedisBroker, server: Server) -> int:
    """Publish, kill the server and start it again; return how many publications were answered."""
    answered = 0

    async def publish() -> None:
        nonlocal answered
        while True:
            await broker.publish("stream", new_id())
            answered += 1

    publishing = asyncio.create_task(publish())
    await until(lambda: answered > 50)
    server.kill9()
    seen = answered
    await asyncio.to_thread(server.start)
    await until(lambda: answered > seen + 50)
    publishing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await publishing
    return answered
