"""What is checked when a connection opens, whose clients are used, and what they may do."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis
import redis.asyncio as aioredis
from redis.crc import key_slot

from oqron_sql.contract.adapters import Message
from oqron_sql.errors import (
    ConfigurationError,
    InvalidName,
    StoreClosed,
    StoreUnavailable,
    UnsupportedDatabase,
)
from oqron_sql.redis import (
    AsyncRedisBroker,
    AsyncRedisLock,
    AsyncRedisStorage,
    RedisConnection,
    connect,
)
from oqron_sql.redis.checks import check_facts
from oqron_sql.testing.adapters.hostile_names import HOSTILE
from oqron_sql.testing.adapters.steps import until
from tests import servers
from tests.conftest import installed
from tests.redis.harness import RedisHarness
from tests.servers import Server

MINUTE = timedelta(minutes=1)
ACL = ("resetchannels", "~oqron:*", "&oqron:*", "+@all", "-@dangerous", "-@admin")


async def use_all(connection: RedisConnection) -> None:
    broker, storage = AsyncRedisBroker(connection), AsyncRedisStorage(connection)
    await broker.publish("q", "a😀")
    (claim,) = await broker.claim("q", "me", 1, MINUTE)
    assert claim == "a😀"
    await broker.extend_lock(claim, "me", MINUTE)
    assert await broker.ack("q", claim)
    heard: list[object] = []
    stop = await broker.subscribe("news", heard.append)
    await broker.broadcast("news", {"ä": 1})
    await storage.save("ns", "id", {"text": "ä"})
    assert await storage.list("ns") == [{"text": "ä"}]
    assert await AsyncRedisLock(connection).acquire("key", "me", MINUTE)
    await broker.publish("q", "b", delay=timedelta(milliseconds=20))
    assert await broker.claim_blocking("q", "me", MINUTE, MINUTE) == "b"
    assert heard == [{"ä": 1}]
    await stop()


@pytest.mark.parametrize("decoding", [False, True])
@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_clients_owner_keeps_it(
    harness: RedisHarness, server: Server, decoding: bool, protocol: int
) -> None:
    async with aioredis.Redis(
        port=server.port, decode_responses=decoding, protocol=protocol
    ) as client:
        given = dict(client.connection_pool.connection_kwargs)
        async with RedisConnection(client) as connection:
            await use_all(connection)
        assert dict(client.connection_pool.connection_kwargs) == given
        assert await client.ping()


def test_what_is_no_client_is_refused(server: Server) -> None:
    with redis.Redis(port=server.port) as blocking:
        for wrong in (blocking, None, 7):
            with pytest.raises(ConfigurationError, match=r"redis\.asyncio"):
                RedisConnection(wrong)
    with pytest.raises(ConfigurationError, match="utf-8"):
        RedisConnection(aioredis.Redis(encoding="latin-1"))


async def test_it_is_used_between_opening_and_closing(
    harness: RedisHarness, server: Server
) -> None:
    connection = RedisConnection(server.url("redis"))
    broker, storage = AsyncRedisBroker(connection), AsyncRedisStorage(connection)
    for when in ("before open", "after close"):
        for call in (broker.publish("q", "a"), storage.get("ns", "a")):
            with pytest.raises(StoreClosed, match=when):
                await call
        with pytest.raises(StoreClosed, match=when):
            await broker.subscribe("news", print)
        if when == "before open":
            await connection.open()
            await storage.get("ns", "a")
        for _ in range(2):
            await connection.close()


async def test_what_is_closed_while_it_opens_stays_closed(
    harness: RedisHarness, server: Server
) -> None:
    connection = RedisConnection(server.url("redis"))
    opening = asyncio.create_task(connection.open())
    await asyncio.sleep(0)
    await connection.close()
    with pytest.raises(StoreClosed, match="after close"):
        await opening
    with pytest.raises(StoreClosed, match="after close"):
        await AsyncRedisStorage(connection).get("ns", "a")


async def test_a_batch_under_way_takes_nothing_from_another_event_loop(
    harness: RedisHarness,
) -> None:
    broker = AsyncRedisBroker(await harness.connection())
    calls: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: broker.publish("q", "c"),
        lambda: broker.ack("q", "a"),
        lambda: broker.nack("q", "a"),
    ]

    def elsewhere(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        async def within() -> None:
            with pytest.raises(ConfigurationError, match="another event loop"):
                await asyncio.wait_for(call(), 5)

        asyncio.run(within())

    for call in calls:
        await broker.publish("q", "a")
        await broker.claim("q", "me", 1, MINUTE)
        here = asyncio.create_task(call())
        await asyncio.sleep(0)
        # This loop stands still meanwhile, so that the batch stays under way.
        with ThreadPoolExecutor(1) as threads:
            outcome = threads.submit(elsewhere, call)
        outcome.result()
        await here


def test_each_event_loop_needs_one_of_its_own(server: Server) -> None:
    made = RedisConnection(server.url("redis"))
    broker = AsyncRedisBroker(made)

    async def use() -> None:
        await made.open()
        await broker.publish("q", "a")
        await broker.claim_blocking("q", "me", MINUTE, MINUTE)

    async def use_elsewhere() -> None:
        for call in (
            broker.size("q"),
            broker.publish("q", "b"),
            broker.claim_blocking("q", "me", MINUTE, MINUTE),
            broker.subscribe("news", print),
        ):
            with pytest.raises(ConfigurationError, match="another event loop"):
                await call
        await made.close()
        with pytest.raises(StoreClosed):
            await broker.size("q")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of what the first loop left open
        asyncio.run(use())
        asyncio.run(use_elsewhere())
        gc.collect()


async def test_a_server_that_forgot_the_scripts_is_told_again(harness: RedisHarness) -> None:
    broker = AsyncRedisBroker(await harness.connection())
    for each in ("a", "b"):
        await broker.publish("q", each)
        assert await broker.claim("q", "me", 1, MINUTE) == [each]
        await (await harness.connection()).command("SCRIPT", "FLUSH")


async def test_one_more_connection_hears_for_all_queues(
    harness: RedisHarness, server: Server
) -> None:
    broker = AsyncRedisBroker(await harness.connection())
    waiting = [
        asyncio.create_task(broker.claim_blocking(f"q{n}", "me", MINUTE, MINUTE)) for n in range(30)
    ]
    await broker.subscribe("news", print)
    with redis.Redis(port=server.port) as client:

        def listening() -> list[int]:
            return [int(each["sub"]) for each in client.client_list() if int(each["sub"])]

        await until(lambda: sum(listening()) == 31)
        assert listening() == [31]
    for n in range(30):
        await broker.publish(f"q{n}", f"id-{n}")
    assert await asyncio.gather(*waiting) == [f"id-{n}" for n in range(30)]


async def test_a_message_that_is_not_utf_8_is_skipped(
    harness: RedisHarness, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    broker = AsyncRedisBroker(await harness.connection())
    heard: list[object] = []
    await broker.subscribe("news", heard.append)
    with redis.Redis(port=server.port) as client:
        client.publish("oqron:channel:{news}", b"\xff\xfe")
    await broker.broadcast("news", 1)
    await until(lambda: heard)
    assert heard == [1]
    assert "not UTF-8" in caplog.text


async def test_all_keys_of_a_thing_are_in_one_slot(harness: RedisHarness, server: Server) -> None:
    connection = await harness.connection()
    broker, storage = AsyncRedisBroker(connection), AsyncRedisStorage(connection)
    for name in HOSTILE:
        await broker.publish_batch(name, [Message("a"), Message("b", MINUTE), Message("c")])
        await broker.nack(name, (await broker.claim(name, "me", 2, MINUTE))[0])
        await storage.save(name, "a", 1)
    with redis.Redis(port=server.port) as client:
        keys = [key for key in client.keys("*") if key != b"oqron:brokers"]
    things = {(key.split(b"}")[0], key_slot(key)) for key in keys}
    assert len(things) == len({thing for thing, _ in things}) == 2 * len(HOSTILE)
    assert b"oqron:broker:{a:b}:ids" in keys


async def test_passwords_are_shown_nowhere(
    server: Server, harness: RedisHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """And a user who may do nothing dangerous can do everything here."""
    secret = "s3cr3t"
    with redis.Redis(port=server.port) as client:
        client.acl_setuser("app", enabled=True, passwords=[f"+{secret}"])
        client.execute_command("ACL", "SETUSER", "app", *ACL)
    try:
        url = f"redis://app:{secret}@127.0.0.1:{server.port}/0"
        with caplog.at_level(logging.DEBUG):
            async with RedisConnection(url) as connection:
                await use_all(connection)
                said = [repr(connection), caplog.text]
            assert "INFO" in caplog.text
            with pytest.raises(StoreUnavailable) as refused:
                await connect(url.replace(secret, secret + "x"))
            said += [str(refused.value), str(refused.value.__cause__)]
            for bad in (
                f"redis://:{secret}/x@h:p/0",
                f"http://u:{secret}@h",
                f"redis://h:{secret}",
            ):
                with pytest.raises(ConfigurationError) as unread:
                    RedisConnection(bad)
                assert unread.value.__cause__ is None
                said.append(str(unread.value))
        assert not [text for text in said if secret in text]
    finally:
        with redis.Redis(port=server.port) as client:
            client.acl_deluser("app")


async def test_what_may_throw_data_away_is_refused(
    harness: RedisHarness, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis(port=server.port) as client:
        client.config_set("maxmemory-policy", "volatile-lru")
        try:
            with pytest.raises(UnsupportedDatabase, match="noeviction"):
                await connect(server.url("redis"))
            async with RedisConnection(server.url("redis"), allow_eviction=True):
                assert "volatile-lru" in caplog.text
        finally:
            client.config_set("maxmemory-policy", "noeviction")


async def test_one_that_keeps_nothing_is_warned_of(
    harness: RedisHarness, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.connection()
    assert "appendonly yes" in caplog.text
    caplog.clear()
    with installed(), servers.redis({"appendonly": "yes"}) as lasting:
        async with RedisConnection(lasting.url("redis")):
            assert caplog.text == ""


def test_old_ones_are_refused() -> None:
    for version in ("6.2.0", "7.0.15", "10.0.0", "8.0-rc1"):
        check_facts({"redis_version": version, "aof_enabled": 1}, allow_eviction=False)
    for version in ("6.0.9", "5.0.14"):
        with pytest.raises(UnsupportedDatabase, match=version):
            check_facts({"redis_version": version}, allow_eviction=False)


async def test_who_cannot_be_reached() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as caught:
        await connect("redis://127.0.0.1:1/0?socket_timeout=0.2")
    assert not caught.value.unknown


def test_prefixes() -> None:
    with pytest.raises(ConfigurationError, match="braces"):
        RedisConnection("redis://localhost", prefix="a{b}")
    with pytest.raises(InvalidName):
        RedisConnection("redis://localhost", prefix="")


async def test_a_full_server_refuses_only_what_needs_room(
    harness: RedisHarness, server: Server
) -> None:
    """So that the ids which fill it can be worked off."""
    broker = AsyncRedisBroker(await harness.connection())
    await broker.publish_batch("q", [Message(f"id-{n}") for n in range(100)])
    held = await broker.claim("q", "me", 2, MINUTE)
    with redis.Redis(port=server.port) as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreUnavailable) as caught:
                await broker.publish("q", "more")
            assert not caught.value.unknown
            assert "maxmemory" in str(caught.value)
            assert await broker.ack("q", held[0])
            assert await broker.nack("q", held[1])
            claims = await broker.claim("q", "me", 99, MINUTE)
            assert all([await broker.ack("q", claim) for claim in claims])
            assert await broker.claim("q", "me", 99, MINUTE) == []
        finally:
            client.config_set("maxmemory", 0)
    assert await broker.size("q") == 0
