"""What is special to the adapters on SQL: what is swept, and what comes late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql.adapters.async_sql import AsyncSQLAdapters, AsyncSQLBroker
from oqron_sql.contract import Clock
from oqron_sql.contract.adapters import BrokerCounts, Message
from oqron_sql.queries import broadcasting, claiming, locks
from tests.backends import BACKENDS, BLOCKING_DRIVERS, Backends
from tests.conftest import installed

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
AWAITED = ("sqlite-thread", "aiosqlite", "pg-asyncpg", "pg-psycopg", "maria-asyncmy")


@pytest.fixture
def url(backend: str, backends: Backends) -> str:
    if backend not in AWAITED:
        pytest.skip("another driver of its database is awaited")
    with installed():
        return backends.database(BACKENDS[backend]).url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def adapters(url: str, clock: Clock) -> AsyncIterator[AsyncSQLAdapters]:
    async with AsyncSQLAdapters(url, clock=clock) as made:
        yield made


async def rows(adapters: AsyncSQLAdapters, name: str) -> int:
    """Return how many rows a table has."""

    def count(tx: Any) -> int:
        table = getattr(tx.tables, name)
        return int(tx.conn.scalar(sa.select(sa.func.count()).select_from(table)))

    return await adapters.store.run(count)


async def test_fences_outlive_the_locks_that_are_swept(
    adapters: AsyncSQLAdapters, clock: Clock
) -> None:
    lock = adapters.lock
    for n in range(5):
        assert await lock.acquire("often", f"owner-{n}", MINUTE) == n + 1
        assert await lock.release("often", f"owner-{n}") is True
    assert await lock.acquire("once", "me", MINUTE) == 1
    await adapters.store.run(locks.sweep_step)
    assert await rows(adapters, "locks") == 2
    clock.advance(HOUR)
    assert await lock.acquire("held", "me", HOUR) == 1
    assert await adapters.store.run(locks.sweep_step) == 2
    assert await lock.acquire("often", "me", MINUTE) == 6
    assert await lock.acquire("new", "me", MINUTE) == 6
    assert await lock.acquire("held", "me", HOUR) == 1
    assert await rows(adapters, "locks") == 4


async def test_broadcasts_are_swept(adapters: AsyncSQLAdapters, clock: Clock) -> None:
    for n in range(3):
        await adapters.broker.broadcast("news", n)
    assert await adapters.store.run(broadcasting.sweep_step) == 0
    clock.advance(HOUR)
    heard: list[Any] = []
    await adapters.broker.subscribe("news", heard.append)
    await adapters.broker.broadcast("news", 3)
    assert await adapters.store.run(broadcasting.sweep_step) == 3
    await until(lambda: heard)
    for n in range(30):  # by and by, as others are sent
        clock.advance(MINUTE)
        await adapters.broker.broadcast("news", n)
    assert await rows(adapters, "broadcasts") < 30
    await until(lambda: len(heard) == 31)


@pytest.mark.parametrize("first", ["first", None])
async def test_a_broadcast_that_is_committed_late_is_heard(
    adapters: AsyncSQLAdapters, url: str, backend: str, first: str | None
) -> None:
    """Be it one of the first that there are."""
    server = BACKENDS[backend].server
    if server is None:
        pytest.skip("its transactions write one after another")
    made = sa.make_url(url)
    host = sa.create_engine(
        made.set(drivername=f"{made.get_backend_name()}+{BLOCKING_DRIVERS[server]}")
    )
    heard: list[Any] = []
    await adapters.broker.subscribe("news", heard.append)
    before = ["first"] if first else []
    for each in before:
        await adapters.broker.broadcast("news", each)
    with host.connect() as conn:
        await adapters.broker.using(conn).broadcast("news", "late")
        await adapters.broker.broadcast("news", "early")
        await until(lambda: "early" in heard)
        assert heard == [*before, "early"]
        conn.commit()
    host.dispose()
    await adapters.broker.broadcast("news", "last")
    await until(lambda: {"late", "last"} <= {*heard})
    assert sorted(heard) == sorted([*before, "early", "last", "late"])


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_falls_due_is_promoted_in_batches(
    adapters: AsyncSQLAdapters, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "BATCH", 3)
    monkeypatch.setattr(claiming, "BATCHES", 2)
    broker = adapters.broker
    ids = [f"id-{n}" for n in range(20)]
    await broker.publish_batch("queue", [Message(each, n * MINUTE) for n, each in enumerate(ids)])
    clock.advance(HOUR)
    assert await broker.counts("queue") == BrokerCounts(waiting=20)
    assert await broker.claim("queue", "me", 2, HOUR) == ids[:2]
    taken: list[str] = []
    while claims := await broker.claim("queue", "me", 2, HOUR):
        taken += claims
    assert taken == ids[2:]


async def test_what_is_published_during_a_claim_that_is_undone_counts(
    adapters: AsyncSQLAdapters, clock: Clock
) -> None:
    """With the place, delay and priority it was published with."""
    broker = adapters.broker
    for each in "abc":
        await broker.publish("queue", each)
    claims = await broker.claim("queue", "me", 3, HOUR)
    await broker.publish("queue", "a", priority=-1)
    await broker.publish("queue", "b", MINUTE)
    await adapters.store.run(partial(claiming.give_back, broker="queue", claims=claims))
    assert await broker.counts("queue") == BrokerCounts(waiting=2, delayed=1)
    clock.advance(HOUR)
    assert await broker.claim("queue", "me", 9, HOUR) == ["c", "a", "b"]
    clock.advance(2 * HOUR)
    for each in await broker.claim("queue", "me", 9, HOUR, "priority"):
        assert each.deliveries == 2
        assert await broker.ack("queue", each) is True
    assert await broker.size("queue") == 0


async def test_whenever_one_gives_up_it_claims_nothing(adapters: AsyncSQLAdapters) -> None:
    """In the middle of a claim too: what was claimed then is as if it had not been."""
    broker = adapters.broker
    async with AsyncSQLBroker(adapters.store) as other:
        for n in range(25):
            waiting = asyncio.create_task(other.claim_blocking("queue", "me", HOUR, MINUTE))
            await asyncio.sleep(0.001 * (n % 5))
            publishing = asyncio.create_task(broker.publish("queue", "a"))
            await asyncio.sleep(0.0004 * (n % 9))
            waiting.cancel()
            told: Any
            (told,) = await asyncio.gather(waiting, return_exceptions=True)
            await publishing
            if isinstance(told, asyncio.CancelledError):
                assert await broker.counts("queue") == BrokerCounts(waiting=1)
                (told,) = await broker.claim("queue", "me", 1, HOUR)
                assert told.deliveries == 1
            assert await broker.ack("queue", told) is True
