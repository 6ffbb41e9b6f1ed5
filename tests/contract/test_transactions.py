"""Storage, broker and lock in one transaction: of their own, or of the host."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from oqron_sql import AsyncSQLStore, JobState, dialects, new_job
from oqron_sql.adapters.async_sql import AsyncSQLAdapters
from oqron_sql.adapters.sql import SQLAdapters
from oqron_sql.contract.adapters import BrokerCounts
from oqron_sql.errors import ConfigurationError, StoreClosed, StoreUnavailable
from oqron_sql.queries.tx import Tx
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

MINUTE = timedelta(minutes=1)


@pytest.fixture
def url(backend: str, backends: Backends) -> str:
    if BACKENDS[backend].in_memory:
        pytest.skip("memory has no transactions")
    with installed():
        return backends.database(BACKENDS[backend]).url


@pytest.fixture
async def adapters(backend: str, url: str) -> AsyncIterator[AsyncSQLAdapters]:
    if BACKENDS[backend].blocking:
        pytest.skip("its transactions are tried below, blocking")
    async with AsyncSQLAdapters(url) as made:
        yield made


async def seen(adapters: AsyncSQLAdapters) -> tuple[int, int, bool]:
    """Return what can be seen from outside: documents, ids, and who has the lock."""
    return (
        await adapters.storage.count("things"),
        await adapters.broker.size("queue"),
        await adapters.lock.is_owner("key", "me"),
    )


async def change(tx: AsyncSQLAdapters) -> None:
    await tx.storage.save("things", "a", {"n": 1})
    await tx.broker.publish("queue", "a")
    assert await tx.lock.acquire("key", "me", MINUTE) is not None


async def test_all_or_nothing(adapters: AsyncSQLAdapters) -> None:
    with contextlib.suppress(LookupError):
        async with adapters.transaction() as tx:
            await change(tx)
            assert await seen(tx) == (1, 1, True)
            raise LookupError
    assert await seen(adapters) == (0, 0, False)
    async with adapters.transaction() as tx:
        await change(tx)
    assert await seen(adapters) == (1, 1, True)
    (held,) = await adapters.broker.claim("queue", "me", 1, MINUTE)
    async with adapters.transaction() as tx:
        assert await tx.storage.increment("things", "a", "n") == 2
        assert await tx.broker.ack("queue", held) is True
    assert await seen(adapters) == (1, 0, True)
    with pytest.raises(StoreClosed, match="outside"):
        await tx.broker.size("queue")


async def test_a_cancelled_one_is_undone(adapters: AsyncSQLAdapters) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with adapters.transaction() as tx:
            await change(tx)
            inside.set()
            while True:
                await tx.storage.increment("things", "a", "n")

    for _ in range(3):
        task = asyncio.create_task(work())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        inside.clear()
        assert await seen(adapters) == (0, 0, False)


async def test_a_thread_at_work_is_waited_for(backend: str, adapters: AsyncSQLAdapters) -> None:
    """A connection is undone, and lent again, when nobody uses it any more."""
    if not backend.endswith("-thread"):
        pytest.skip("its driver is awaited, and stops at once")
    begun, go_on = threading.Event(), threading.Event()

    def linger(tx: Tx) -> None:
        begun.set()
        assert go_on.wait(30)
        tx.conn.scalar(sa.select(1))

    async def work() -> None:
        async with adapters.transaction() as tx:
            await change(tx)
            await tx.store.run(linger)

    task = asyncio.create_task(work())
    await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0.2)
    go_on.set()
    assert not done
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await seen(adapters) == (0, 0, False)


async def test_closing_what_joins_one_closes_nothing_else(adapters: AsyncSQLAdapters) -> None:
    heard: list[Any] = []
    await adapters.broker.subscribe("news", heard.append)
    async with adapters.transaction() as tx, tx:
        await tx.broker.broadcast("news", 1)
    async with asyncio.timeout(10):
        while not heard:
            await asyncio.sleep(0.005)


async def test_many_at_once_take_turns(adapters: AsyncSQLAdapters) -> None:
    async with adapters.transaction() as tx:
        await asyncio.gather(*(tx.storage.save("things", f"{n}", {}) for n in range(9)))
        assert await tx.storage.count("things") == 9


async def test_others_go_on_meanwhile(adapters: AsyncSQLAdapters) -> None:
    async with adapters.transaction() as tx:
        assert await tx.storage.count("things") == 0
        await tx.storage.save("things", "a", {})
        other = asyncio.create_task(adapters.storage.save("things", "b", {}))
        await tx.storage.save("things", "c", {})
    await other
    assert await adapters.storage.count("things") == 3


async def test_a_store_has_them_too(backend: str, url: str) -> None:
    if BACKENDS[backend].blocking:
        pytest.skip("tried below, blocking")
    async with AsyncSQLStore(url) as store:
        adapters = AsyncSQLAdapters(store)
        with contextlib.suppress(LookupError):
            async with store.transaction() as tx:
                await tx.save_job("q", new_job("q", "one"))
                raise LookupError
        async with store.transaction() as tx:
            await tx.save_job("q", new_job("q", "one"))
            await AsyncSQLAdapters(tx).storage.save("things", "a", {})
            with pytest.raises(ConfigurationError, match="already"):
                async with tx.transaction():
                    pass
        assert (await store.get_job_counts("q"))[JobState.WAITING] == 1
        assert await adapters.storage.count("things") == 1


async def test_a_host_s_session_is_joined(adapters: AsyncSQLAdapters, url: str) -> None:
    if sa.make_url(url).get_dialect().is_async or "psycopg" in url:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            await change(adapters.using(session))
            await session.rollback()
            assert await seen(adapters) == (0, 0, False)
            await change(adapters.using(session))
            await session.commit()
        await engine.dispose()
    else:
        host = sa.create_engine(url)
        with Session(host) as session:
            await change(adapters.using(session))
            session.commit()
        host.dispose()
    assert await seen(adapters) == (1, 1, True)


async def test_a_lost_connection_undoes_it(adapters: AsyncSQLAdapters, url: str) -> None:
    if "postgresql" not in url:
        pytest.skip("nobody can be cut off")

    def cut(tx: Any) -> None:
        tx.conn.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
            "current_database() AND state = 'idle in transaction'"
        )

    async def work() -> None:
        async with adapters.transaction() as tx:
            await change(tx)
            async with AsyncSQLAdapters(url) as other:
                await other.store.run(cut)
            await tx.storage.save("things", "b", {})

    with pytest.raises(StoreUnavailable) as caught:
        await work()
    assert caught.value.unknown is False
    assert await seen(adapters) == (0, 0, False)


async def test_a_transaction_in_memory_is_alone() -> None:
    """Where all share one connection, they wait."""
    if not dialects.get("sqlite").in_memory(sa.make_url("sqlite://")):
        pytest.skip("nothing is known of the database")
    for driver in ("pysqlite", "aiosqlite"):
        async with AsyncSQLAdapters(f"sqlite+{driver}://") as adapters:
            with contextlib.suppress(LookupError):
                async with adapters.transaction() as tx:
                    await change(tx)
                    other = asyncio.create_task(adapters.broker.publish("queue", "b"))
                    await asyncio.sleep(0.05)  # the other has begun to wait
                    raise LookupError
            await other
            assert await adapters.broker.claim("queue", "me", 9, MINUTE) == ["b"]


def test_blocking(backend: str, url: str) -> None:
    if not BACKENDS[backend].blocking:
        pytest.skip("tried above, awaited")
    with SQLAdapters(url) as adapters:
        storage, broker = adapters.storage, adapters.broker
        with contextlib.suppress(LookupError), adapters.transaction() as tx:
            tx.storage.save("things", "a", {})
            tx.broker.publish("queue", "a")
            raise LookupError
        assert (storage.count("things"), broker.size("queue")) == (0, 0)
        with adapters.transaction() as tx:
            tx.storage.save("things", "a", {})
            tx.broker.publish("queue", "a")
        assert (storage.count("things"), broker.size("queue")) == (1, 1)
        (held,) = broker.claim("queue", "me", 1, MINUTE)
        with adapters.transaction() as tx:
            tx.storage.save("things", "b", {})
            tx.broker.nack("queue", held, MINUTE)
        assert broker.counts("queue") == BrokerCounts(delayed=1)
        host = sa.create_engine(url)
        with Session(host) as session:
            adapters.using(session).broker.publish("queue", "b")
            session.rollback()
            adapters.using(session).broker.publish("queue", "c")
            session.commit()
        host.dispose()
        assert broker.claim("queue", "me", 9, MINUTE) == ["c"]
