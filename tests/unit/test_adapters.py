"""The factories: everything is checked before anything opens, and closed once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql import AsyncSQLStore, SQLStore
from oqron_sql.adapters import (
    Adapters,
    IsolatedStorage,
    Opening,
    Scope,
    capabilities,
    create_adapters,
    create_broker_adapter,
    create_lock_adapter,
    create_storage_adapter,
    isolate,
)
from oqron_sql.adapters.async_sql import AsyncSQLAdapters
from oqron_sql.adapters.sql import SQLAdapters
from oqron_sql.errors import ConfigurationError, InvalidInput, InvalidName
from oqron_sql.memory import (
    AsyncMemoryBroker,
    AsyncMemoryLock,
    AsyncMemoryStorage,
    MemoryBroker,
    MemoryStorage,
)

MINUTE = timedelta(minutes=1)
PARTS = {"storage": AsyncMemoryStorage, "broker": AsyncMemoryBroker, "lock": AsyncMemoryLock}


def parts() -> dict[str, Any]:
    return {name: kind() for name, kind in PARTS.items()}


async def test_each_adapter_is_made_by_its_type() -> None:
    storage = await create_storage_adapter()
    await storage.save("things", "a", {"n": 1})
    assert await storage.get("things", "a") == {"n": 1}
    async with create_broker_adapter("memory") as broker, create_lock_adapter("memory") as lock:
        await broker.publish("queue", "a")
        assert await broker.claim("queue", "me", 1, MINUTE) == ["a"]
        assert await lock.acquire("key", "me", MINUTE) is not None


@pytest.mark.parametrize(
    ("make", "port"),
    [
        (create_storage_adapter, "storage"),
        (create_broker_adapter, "broker"),
        (create_lock_adapter, "lock"),
    ],
)
def test_a_type_is_known_and_has_what_it_needs(make: Any, port: str) -> None:
    for wrong, said in (
        ({"type": "mongo"}, f"Unknown {port} adapter type 'mongo'"),
        ({"type": "rediss"}, "did you mean 'redis'"),
        ({"type": "redis"}, "needs redis="),
        ({"type": "sql"}, "needs db="),
        ({"type": "postgres"}, "needs db="),
        ({"db": "sqlite://"}, "no use for db="),
        ({"type": "redis", "redis": "redis://", "db": "sqlite://"}, "no use for db="),
        (
            {"type": "sql", "db": "redis://cache"},
            "type 'redis' takes it, as redis=",
        ),
        ({"type": "sql", "db": "sqlite://", "redis_options": {"prefix": "x"}}, "no use for redis="),
    ):
        with pytest.raises(ConfigurationError, match=said):
            make(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mode": "postgres"}, "Unknown adapter mode 'postgres'; there are default, db"),
        ({"mode": "hybrid"}, "did you mean 'hybrid-db'"),
        ({"mode": "db"}, "mode 'db' needs db="),
        ({"mode": "redis"}, "mode 'redis' needs redis="),
        ({"mode": "hybrid-db", "redis": "redis://"}, "needs db="),
        ({"mode": "hybrid-db", "db": "sqlite://"}, "needs redis="),
        ({"db": "sqlite://"}, "mode 'default' has no use for db="),
        ({"mode": "redis", "redis": "redis://", "db": "sqlite://"}, "no use for db="),
        ({"mode": "db", "db": "redis://me:hunter2@cache"}, "or type 'redis' takes it, as redis="),
        ({"mode": "hybrid-db", "db": "Rediss://c", "redis": "redis://c"}, "needs a SQL database"),
        ({"mode": "custom"}, "no storage=, broker=, lock="),
        ({"mode": "custom", "storage": AsyncMemoryStorage()}, "no broker=, lock="),
        ({"mode": "custom", **parts(), "db": "sqlite://"}, "no use for db="),
        ({"mode": "custom", **parts(), "broker": object()}, "this is no broker: 'publish'"),
        ({"storage": AsyncMemoryStorage()}, "storage= is of use in mode 'custom' alone"),
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(each),
)
def test_a_mode_has_what_it_needs_and_nothing_else(wrong: dict[str, Any], said: str) -> None:
    """Refused at once: there is nothing to await."""
    with pytest.raises(ConfigurationError, match=said):
        create_adapters(**wrong)


def test_an_argument_that_is_none_may_be_like_one_that_is() -> None:
    factories: list[tuple[Any, str, str]] = [
        (create_adapters, "projet", r"create_adapters\(\) has no projet= .*'project'"),
        (create_adapters, "xyz", r"create_adapters\(\) has no xyz=$"),
        (create_storage_adapter, "db_option", "'db_options'"),
        (create_broker_adapter, "redi", "'redis'"),
        (create_lock_adapter, "typ", "'type'"),
    ]
    for make, wrong, said in factories:
        with pytest.raises(TypeError, match=said):
            make(**{wrong: "x"})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"db": ""}, "not a database URL"),
        ({"db": "oracle://app:hunter2@db/app"}, "needs the driver 'oracledb'; install it"),
        ({"db_options": "prefix"}, "db_options must be a mapping"),
        ({"db_options": ["prefix"]}, "db_options must be a mapping"),
        ({"db_options": {5: 1}}, "there is no 5"),
        ({"db_options": {"migrate": "yes"}}, "migrate='yes' must be"),
        ({"redis": ""}, "URL cannot be read"),
        ({"redis": "redis://app:hunter2@cache/one"}, "URL cannot be read"),
        ({"redis": "redis://app:hunter2@cache?db=one"}, "URL cannot be read"),
        ({"redis": "redis://app:hunter2@cache?socket_timout=3"}, "URL cannot be read"),
        ({"redis": "rediss://app:hunter2@cache?ssl_cert_reqs=some"}, "URL cannot be read"),
        ({"redis_options": 5}, "redis_options must be a mapping"),
    ],
    ids=str,
)
def test_what_is_said_of_a_place_is_checked_at_once(wrong: dict[str, Any], said: str) -> None:
    """And no secret is told."""
    given = {"db": "sqlite://", "redis": "redis://cache", **wrong}
    with pytest.raises(ConfigurationError, match=said) as caught:
        create_adapters("hybrid-db", **given)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "1"])
def test_a_limit_is_a_number_of_bytes(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="max_payload"):
        create_adapters("db", db="sqlite://", db_options={"max_payload": wrong})


async def test_an_option_that_the_driver_does_not_have_is_named() -> None:
    pytest.importorskip("asyncpg")
    url = "postgresql+asyncpg://app@127.0.0.1:1/app?sslmode=hunter2"
    with pytest.raises(ConfigurationError, match="sslmode") as caught:
        await create_adapters("db", db=url)
    assert "hunter2" not in str(caught.value)


def test_a_store_keeps_its_options() -> None:
    for store, kind in (
        (SQLStore("sqlite://"), SQLAdapters),
        (AsyncSQLStore("sqlite://"), AsyncSQLAdapters),
    ):
        assert kind(store).store is store  # type: ignore[arg-type]  # each has its own
        with pytest.raises(ConfigurationError, match="its own prefix, push"):
            kind(store, prefix="other_", push=False)  # type: ignore[arg-type]


def test_whose_data_they_are_is_checked_at_once() -> None:
    for wrong in ({"project": ""}, {"environment": "\0"}, {"project": "x" * 255}):
        with pytest.raises(InvalidName):
            create_adapters(**wrong)  # type: ignore[arg-type]  # text, all of them


@pytest.mark.parametrize("isolated", [True, False])
def test_declared_fields_are_checked_at_once(isolated: bool) -> None:
    for wrong in (["things"], {"": ["a"]}, {"things": "a"}, {"things": 5}, {"things": [""]}):
        with pytest.raises(InvalidInput):
            create_adapters("db", db="sqlite://", db_options={"indexes": wrong}, isolated=isolated)
    with pytest.raises(ConfigurationError, match="a lock has no documents"):
        create_lock_adapter("sql", db="sqlite://", db_options={"indexes": {"things": ["a"]}})


async def test_default_is_memory_and_isolated() -> None:
    async with create_adapters() as adapters:
        await adapters.storage.save("things", "a", 1)
        assert await adapters.storage.get("things", "a") == 1
        assert isinstance(adapters.storage, IsolatedStorage)
        assert await adapters.storage.base.get("oqron:oqronkit:development:things", "a") == 1
        assert capabilities(adapters.broker) == {"claim_blocking", "broadcast"}
    plain = await create_adapters(isolated=False)
    assert isinstance(plain.storage, AsyncMemoryStorage)


async def test_custom_adapters_are_used_and_never_closed() -> None:
    class Mine(AsyncMemoryStorage):
        closed = False

        async def close(self) -> None:
            self.closed = True

    mine = Mine()
    given = {**parts(), "storage": mine}
    async with await create_adapters("custom", **given, project="shop") as adapters:
        await adapters.storage.save("things", "a", 1)
        assert await mine.get("oqron:shop:development:things", "a") == 1
    for _ in range(2):
        await adapters.close()
    assert mine.closed is False
    assert await mine.get("oqron:shop:development:things", "a") == 1


async def test_two_factories_can_be_mixed() -> None:
    """A made adapter is as good as one's own."""
    lock = await create_lock_adapter("memory")
    adapters = await create_adapters(
        "custom",
        storage=MemoryStorage(),
        broker=MemoryBroker(),
        lock=lock,
        isolated=False,
    )
    assert adapters.lock is lock
    await adapters.storage.save("things", "a", 1)
    assert await adapters.storage.get("things", "a") == 1
    await adapters.broker.publish("queue", "a")
    assert await adapters.broker.claim("queue", "me", 1, MINUTE) == ["a"]


async def test_what_was_opened_is_closed_once_and_in_reverse() -> None:
    said: list[str] = []

    async def opened(closing: contextlib.AsyncExitStack) -> Adapters:
        for name in ("first", "second"):
            closing.callback(said.append, name)
        return Adapters(**parts(), closing=closing)

    opening = Opening(opened)
    assert said == []
    adapters = isolate(await opening)
    assert await opening is (await opening)
    await adapters.close()
    await adapters.close()
    await opening.close()
    assert said == ["second", "first"]


async def test_many_may_await_it_at_once() -> None:
    opened: list[object] = []

    async def open_one(_: contextlib.AsyncExitStack) -> object:
        await asyncio.sleep(0)
        opened.append(object())
        return opened[-1]

    opening = Opening(open_one)

    async def wait() -> object:
        return await opening

    assert [*await asyncio.gather(wait(), wait(), wait())] == opened * 3


async def test_what_fails_to_open_is_closed() -> None:
    said: list[str] = []

    async def fail(closing: contextlib.AsyncExitStack) -> Adapters:
        closing.callback(said.append, "closed")
        raise ConfigurationError("no such server")

    with pytest.raises(ConfigurationError):
        async with Opening(fail):
            pass
    assert said == ["closed"]


async def test_transactions_need_a_database() -> None:
    adapters = await create_adapters()
    with pytest.raises(ConfigurationError, match='mode "db"'):
        async with adapters.transaction():
            pass
    with pytest.raises(ConfigurationError, match='mode "db"'):
        adapters.using(object())


async def test_what_joins_a_transaction_stays_isolated() -> None:
    """The rest of it is the database's, and tested there."""

    class Joining:
        def using(self, bind: Any, /) -> Adapters:
            return Adapters(**parts())

        @contextlib.asynccontextmanager
        async def transaction(self) -> AsyncIterator[Adapters]:
            yield self.using("its own")

    adapters = isolate(Adapters(**parts(), joining=Joining()), "shop")
    async with adapters.transaction() as tx:
        for joined in (tx, adapters.using("the host's")):
            found: Any = joined
            scopes = {found.storage.scope, found.broker.scope, found.lock.scope}
            assert scopes == {Scope("shop")}
            await joined.close()
