"""A request whose reply was lost is sent again, and carried out once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from oqron_sql.contract.adapters import BrokerCounts, Message
from oqron_sql.errors import StoreUnavailable
from oqron_sql.redis import (
    AsyncRedisBroker,
    AsyncRedisLock,
    AsyncRedisStorage,
    RedisConnection,
    broker,
    lock,
    namespace,
    queue,
)
from oqron_sql.redis.script import Script
from oqron_sql.testing.adapters.steps import until
from tests.proxy import Proxy
from tests.redis.harness import RedisHarness
from tests.servers import Server

Q, NS, ME, MINUTE = "queue", "things", "consumer-1", timedelta(minutes=1)


class Scene:
    """The adapters of one connection."""

    def __init__(self, connection: RedisConnection) -> None:
        self.broker = AsyncRedisBroker(connection)
        self.storage = AsyncRedisStorage(connection)
        self.lock = AsyncRedisLock(connection)


class Case:
    """A call, what came before it, what others do until it is sent again, and what is to be."""

    script: Script
    expected: Any

    async def before(self, at: Scene) -> None:
        await at.broker.publish_batch(Q, [Message("a"), Message("b")])

    async def call(self, at: Scene) -> Any: ...

    async def meanwhile(self, at: Scene) -> None: ...

    async def after(self, at: Scene) -> None: ...


class Publishing(Case):
    script, expected = queue.PUBLISH, None

    async def call(self, at: Scene) -> Any:
        return await at.broker.publish(Q, "c")

    async def meanwhile(self, at: Scene) -> None:
        for claim in await at.broker.claim(Q, "other", 3, MINUTE):
            assert await at.broker.ack(Q, claim)

    async def after(self, at: Scene) -> None:
        assert await at.broker.size(Q) == 0, "it was published twice"


class Claiming(Case):
    script, expected = queue.CLAIM, ["a"]

    async def call(self, at: Scene) -> Any:
        claims = await at.broker.claim(Q, ME, 1, MINUTE)
        assert claims[0].deliveries == 1
        return claims

    async def after(self, at: Scene) -> None:
        assert await at.broker.counts(Q) == BrokerCounts(waiting=1, claimed=1)


class WaitingToClaim(Case):
    script, expected, after = queue.CLAIM, "a", Claiming.after

    async def call(self, at: Scene) -> Any:
        return await at.broker.claim_blocking(Q, ME, MINUTE, MINUTE)


class Acknowledging(Case):
    script, expected = queue.ACK, [True, True]

    async def call(self, at: Scene) -> Any:
        claims = await at.broker.claim(Q, ME, 2, MINUTE)
        return await asyncio.gather(*(at.broker.ack(Q, claim) for claim in claims))

    async def meanwhile(self, at: Scene) -> None:
        await at.broker.publish(Q, "a")

    async def after(self, at: Scene) -> None:
        assert await at.broker.size(Q) == 1, "a later publication was acknowledged"


class HandingBack(Case):
    script, expected = queue.NACK, True

    async def call(self, at: Scene) -> Any:
        await at.broker.claim(Q, ME, 1, MINUTE)
        return await at.broker.nack(Q, "a")  # without the claim, which would protect the next one

    async def meanwhile(self, at: Scene) -> None:
        assert await at.broker.claim(Q, "other", 1, MINUTE) == ["a"]

    async def after(self, at: Scene) -> None:
        await at.broker.extend_lock("a", "other", MINUTE, Q)


class Broadcasting(Case):
    script, expected = broker.BROADCAST, None

    async def before(self, at: Scene) -> None:
        self.heard: list[Any] = []
        await at.broker.subscribe("news", self.heard.append)

    async def call(self, at: Scene) -> Any:
        await at.broker.broadcast("news", "first")
        return await at.broker.broadcast("news", "second")

    async def after(self, at: Scene) -> None:
        await until(lambda: "second" in self.heard)
        assert self.heard == ["first", "second"]


class SavingIfAbsent(Case):
    script, expected = namespace.SAVE, True

    async def call(self, at: Scene) -> Any:
        return await at.storage.save_if_absent(NS, "a", 1)


class Saving(Case):
    script, expected = namespace.SAVE, None

    async def call(self, at: Scene) -> Any:
        return await at.storage.save(NS, "a", "old")

    async def meanwhile(self, at: Scene) -> None:
        await at.storage.save(NS, "a", "new")

    async def after(self, at: Scene) -> None:
        assert await at.storage.get(NS, "a") == "new"


class Incrementing(Case):
    script, expected = namespace.SWAP, 1

    async def call(self, at: Scene) -> Any:
        return await at.storage.increment(NS, "a", "n")

    async def meanwhile(self, at: Scene) -> None:
        assert await at.storage.increment(NS, "a", "n") == 2

    async def after(self, at: Scene) -> None:
        assert await at.storage.get(NS, "a") == {"n": 2}


class Pruning(Case):
    script, expected = namespace.PRUNE, 1

    async def call(self, at: Scene) -> Any:
        await at.storage.save(NS, "a", {"createdAt": 0})
        return await at.storage.prune(NS, datetime(2000, 1, 1, tzinfo=UTC))


class Deleting(Case):
    script, expected = namespace.DELETE, True

    async def call(self, at: Scene) -> Any:
        await at.storage.save(NS, "a", 1)
        return await at.storage.delete(NS, "a")

    async def meanwhile(self, at: Scene) -> None:
        await at.storage.save(NS, "a", 2)

    async def after(self, at: Scene) -> None:
        assert await at.storage.get(NS, "a") == 2


class Acquiring(Case):
    script = lock.ACQUIRE

    async def call(self, at: Scene) -> Any:
        fence = await at.lock.acquire("key", ME, MINUTE)
        self.expected = fence
        assert await at.lock.is_owner("key", ME)
        assert await at.lock.acquire("key", ME, MINUTE) == fence
        return fence


class Releasing(Case):
    script, expected = lock.RELEASE, True

    async def call(self, at: Scene) -> Any:
        await at.lock.acquire("key", ME, MINUTE)
        return await at.lock.release("key", ME)

    async def meanwhile(self, at: Scene) -> None:
        assert await at.lock.acquire("key", ME, MINUTE)

    async def after(self, at: Scene) -> None:
        assert await at.lock.is_owner("key", ME), "the next holder's lock was released"


CASES: list[type[Case]] = [
    *(Publishing, Claiming, WaitingToClaim, Acknowledging, HandingBack, Broadcasting),
    *(SavingIfAbsent, Saving, Incrementing, Pruning, Deleting, Acquiring, Releasing),
]


@pytest.mark.parametrize("kind", CASES)
async def test_it_is_carried_out_once(
    harness: RedisHarness, proxy: Proxy, kind: type[Case]
) -> None:
    case = kind()
    others = Scene(await harness.connection())
    async with RedisConnection(f"redis://127.0.0.1:{proxy.port}") as connection:
        mine = Scene(connection)
        await case.before(mine)
        await connection.command("SCRIPT", "LOAD", case.script.source)
        proxy.lose_reply(case.script.hash)
        calling = asyncio.create_task(case.call(mine))
        await until(lambda: proxy.lost or calling.done())
        await case.meanwhile(others)
        proxy.is_down = False
        assert await calling == case.expected
        assert proxy.lost == 1
        await case.after(mine)


async def test_a_client_that_sends_nothing_again_says_that_it_does_not_know(
    harness: RedisHarness, proxy: Proxy
) -> None:
    """What a host's client does about a lost reply is the host's choice."""
    others = Scene(await harness.connection())
    retry = Retry(NoBackoff(), 0)
    async with aioredis.Redis(port=proxy.port, retry=retry) as client:
        connection = RedisConnection(client)
        await connection.open()
        mine = Scene(connection)
        await connection.command("SCRIPT", "LOAD", queue.PUBLISH.source)
        proxy.lose_reply(queue.PUBLISH.hash)
        with pytest.raises(StoreUnavailable) as caught:
            await mine.broker.publish(Q, "a")
        assert caught.value.unknown
        assert await others.broker.size(Q) == 1
        proxy.is_down = False
        proxy.lose_reply("HGET")
        with pytest.raises(StoreUnavailable) as caught:
            await mine.storage.increment(NS, "a", "n")
        assert not caught.value.unknown
        proxy.is_down = False
        await connection.close()


async def test_what_a_hosts_client_sent_again_may_arrive_late(
    harness: RedisHarness, server: Server
) -> None:
    """It does not say that it did, and the one it gave up may come after later requests."""
    sent: list[tuple[Any, ...]] = []

    class Noting(aioredis.Redis):
        async def execute_command(self, *args: Any, **options: Any) -> Any:
            sent.append(args)
            above: Any = super()
            return await above.execute_command(*args, **options)

    async with Noting(port=server.port) as client, RedisConnection(client) as connection:
        storage = AsyncRedisStorage(connection)
        await storage.save(NS, "a", "old")
        late = sent[-1]
        assert late[0] in ("EVALSHA", "EVAL")
        await storage.save(NS, "a", "new")
        await connection.command(*late, changes=True)
        assert await storage.get(NS, "a") == "new"
