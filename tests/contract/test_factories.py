"""The factories on real places: one engine, what is given open stays open, closing is enough."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from oqron_sql.adapters import Adapters, IsolatedStorage, create_adapters, create_storage_adapter
from oqron_sql.errors import ConfigurationError, StoreUnavailable
from tests.backends import Backends
from tests.conftest import installed

MINUTE = timedelta(minutes=1)


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """The URL of a database that is not there yet."""
    return f"sqlite:///{tmp_path}/adapters.db"


@pytest.fixture
def redis(backends: Backends) -> Iterator[str]:
    """The URL of the session's Redis, emptied afterwards."""
    with installed():
        url = f"redis://127.0.0.1:{backends.server('redis').port}/1"
    yield url
    import redis as client

    with client.Redis.from_url(url) as connection:
        connection.flushdb()


async def use(adapters: Adapters) -> None:
    """See each of the three at work."""
    assert await adapters.storage.increment("things", "a", "n") == 1
    await adapters.broker.publish("queue", "a")
    claimed = await adapters.broker.claim_blocking("queue", "me", MINUTE, MINUTE)
    assert claimed == "a"
    assert await adapters.broker.ack("queue", claimed) is True
    assert await adapters.lock.acquire("key", "me", MINUTE) is not None
    assert await adapters.storage.delete("things", "a") is True
    assert await adapters.lock.release("key", "me") is True


async def test_all_three_live_in_a_database(sqlite: str) -> None:
    async with create_adapters("db", db=sqlite, db_options={"prefix": "shop_"}) as adapters:
        await use(adapters)
        ports: Any = adapters
        assert len({each.base.store for each in (ports.storage, ports.broker, ports.lock)}) == 1
        await adapters.storage.save("things", "kept", 1)
    await adapters.close()
    async with create_storage_adapter("sql", db=sqlite, db_options={"prefix": "shop_"}) as storage:
        assert await storage.get("oqron:oqronkit:development:things", "kept") == 1


async def test_all_three_live_on_redis(redis: str) -> None:
    async with create_adapters("redis", redis=redis, redis_options={"prefix": "shop"}) as adapters:
        await use(adapters)
    await adapters.close()
    with pytest.raises(ConfigurationError, match=r"prefx.*did you mean 'prefix'"):
        create_adapters("redis", redis=redis, redis_options={"prefx": "shop"})


async def test_storage_and_broker_live_apart(sqlite: str, redis: str) -> None:
    async with create_adapters("hybrid-db", db=sqlite, redis=redis) as adapters:
        await use(adapters)
        with pytest.raises(ConfigurationError, match="all adapters in one SQL database"):
            async with adapters.transaction():
                pass


async def test_an_engine_of_the_host_stays_open(sqlite: str) -> None:
    engine = create_async_engine(sqlite.replace("sqlite:", "sqlite+aiosqlite:"))
    pool = engine.pool
    async with create_adapters("db", db=engine) as adapters:
        await use(adapters)
    assert engine.pool is pool
    await engine.dispose()


async def test_a_client_of_the_host_stays_open(redis: str) -> None:
    from redis.asyncio import Redis

    client = Redis.from_url(redis, single_connection_client=True)
    connection = await client.client_id()
    async with create_adapters("redis", redis=client) as adapters:
        await use(adapters)
    assert await client.client_id() == connection
    await client.aclose()


async def test_a_place_that_cannot_be_reached_leaves_nothing_open(sqlite: str) -> None:
    with pytest.raises(StoreUnavailable):
        await create_adapters("hybrid-db", db=sqlite, redis="redis://127.0.0.1:1")


async def test_opening_can_be_tried_again(redis: str) -> None:
    """As while a server starts: with one that forbids everything at first."""
    from redis.asyncio import Redis

    async with Redis.from_url(redis) as admin:
        await admin.acl_setuser("late", enabled=False, passwords=["+pw"], keys=["*"])
        opening = create_adapters("redis", redis=redis.replace("//", "//late:pw@"))
        with pytest.raises(StoreUnavailable):
            await opening
        await admin.acl_setuser(
            "late", enabled=True, keys=["*"], channels=["*"], categories=["+@all"]
        )
        async with opening as adapters:
            await use(adapters)
        await admin.acl_deluser("late")


async def save_and_publish(adapters: Adapters, *, fail: bool) -> None:
    async with adapters.transaction() as tx:
        await tx.storage.save("things", "a", 1)
        await tx.broker.publish("queue", "a")
        if fail:
            raise LookupError


async def test_transactions_are_isolated_and_whole(sqlite: str) -> None:
    async with create_adapters("db", db=sqlite, project="shop") as adapters:
        with pytest.raises(LookupError):
            await save_and_publish(adapters, fail=True)
        assert await adapters.storage.get("things", "a") is None
        assert await adapters.broker.size("queue") == 0
        await save_and_publish(adapters, fail=False)
        async with adapters.transaction() as tx:
            with pytest.raises(ConfigurationError, match="already"):
                await save_and_publish(tx, fail=False)
        assert isinstance(adapters.storage, IsolatedStorage)
        assert await adapters.storage.base.get("oqron:shop:development:things", "a") == 1
        assert await adapters.broker.size("queue") == 1


async def test_a_session_of_the_host_decides(sqlite: str) -> None:
    engine = create_async_engine(sqlite.replace("sqlite:", "sqlite+aiosqlite:"))
    async with create_adapters("db", db=engine, project="shop") as adapters:
        for commit in (False, True):
            async with AsyncSession(engine) as session:
                joined = adapters.using(session)
                await joined.storage.save("things", "a", 1)
                await joined.broker.publish("queue", "a")
                await (session.commit() if commit else session.rollback())
            assert await adapters.storage.count("things") == int(commit)
            assert await adapters.broker.size("queue") == int(commit)
    await engine.dispose()
