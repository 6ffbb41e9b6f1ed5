"""A reply of the database is lost after it has acted: nothing is claimed, or taken, twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import AsyncSQLStore
from oqron_sql.adapters.async_sql import AsyncSQLAdapters
from oqron_sql.contract.adapters import BrokerCounts, Message
from oqron_sql.errors import StoreUnavailable
from oqron_sql.testing.adapters.steps import until
from tests.backends import BACKENDS, Backends
from tests.conftest import installed
from tests.proxy import Cut, Proxy, proxied

HOUR, Q, ME, NS = timedelta(hours=1), "queue", "me", "things"
# Whose statements are whole in one packet, and where a claim is several, up to the COMMIT.
COMMIT = {"pg-psycopg": b"COMMIT\0", "maria-asyncmy": b"COMMIT"}  # and not READ COMMITTED
CLAIMED = {**COMMIT, "pg-psycopg": b"UPDATE oqron_messages"}


class Scene:
    """Adapters whose replies can be lost, and others who see what became of it."""

    def __init__(self, mine: AsyncSQLAdapters, others: AsyncSQLAdapters, proxy: Proxy) -> None:
        self.mine, self.others, self._proxy = mine, others, proxy

    async def losing(self, needle: bytes, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call whose reply is lost; the server can be reached again at once."""
        lost = self._proxy.lost
        self._proxy.lose_reply(needle.decode())
        calling = asyncio.ensure_future(call())
        await until(lambda: self._proxy.lost > lost)
        self._proxy.is_down = False
        return await calling


@pytest.fixture
async def scene(backend: str, backends: Backends) -> AsyncIterator[Scene]:
    if backend not in CLAIMED:
        pytest.skip("the same body as on another driver, whose packets are easier to tell")
    with installed():
        url = sa.make_url(backends.database(BACKENDS[backend]).url)
    assert url.port
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxied(url.port))
        others = await stack.enter_async_context(AsyncSQLAdapters(url))
        near = AsyncSQLAdapters(url.set(port=proxy.port), push=False)
        yield Scene(await stack.enter_async_context(near), others, proxy)


async def test_a_claim_is_not_made_twice(scene: Scene, backend: str) -> None:
    """Nobody knows of the ids: they come back at their deadline, and no others are held."""
    await scene.mine.broker.publish_batch(Q, [Message(each) for each in "abc"])
    with pytest.raises(StoreUnavailable) as caught:
        await scene.losing(CLAIMED[backend], lambda: scene.mine.broker.claim(Q, ME, 1, HOUR))
    assert caught.value.unknown
    assert await scene.others.broker.counts(Q) == BrokerCounts(waiting=2, claimed=1)


async def test_an_end_of_a_claim_is_told_once(scene: Scene) -> None:
    """Sent again it changes nothing, also where others have the id by then."""
    broker = scene.mine.broker
    await broker.publish_batch(Q, [Message(each) for each in "ab"])
    first, second = await broker.claim(Q, ME, 2, HOUR)
    acked = await scene.losing(b"DELETE FROM oqron_messages", lambda: broker.ack(Q, first))
    assert (acked, await scene.others.broker.size(Q)) == (False, 1)
    handed = await scene.losing(b"UPDATE oqron_messages", lambda: broker.nack(Q, second))
    assert (handed, await scene.others.broker.counts(Q)) == (False, BrokerCounts(waiting=1))


async def test_a_lock_is_taken_and_released_once(scene: Scene) -> None:
    lock = scene.mine.lock
    fence = await lock.acquire("key", ME, HOUR)
    again = await scene.losing(b"oqron_locks", lambda: lock.acquire("key", ME, HOUR))
    assert again == fence
    assert await scene.losing(b"oqron_locks", lambda: lock.release("key", ME)) is False
    new = await scene.others.lock.acquire("key", "other", HOUR)
    assert fence is not None
    assert new == fence + 1
    assert await lock.release("key", ME) is False
    assert await scene.others.lock.is_owner("key", "other")


async def test_nothing_is_added_twice(scene: Scene, backend: str) -> None:
    storage = scene.mine.storage
    await storage.save(NS, "a", {"n": 1})
    with pytest.raises(StoreUnavailable) as caught:
        await scene.losing(COMMIT[backend], lambda: storage.increment(NS, "a", "n"))
    assert caught.value.unknown
    assert await scene.others.storage.get(NS, "a") == {"n": 2}


async def test_tables_are_looked_for_in_vain(backend: str, backends: Backends) -> None:
    """The connection is lost whenever a process that starts looks for its tables."""
    if backend not in COMMIT:
        pytest.skip("the same body as on another driver, whose packets are easier to tell")
    with installed():
        url = sa.make_url(backends.database(BACKENDS[backend]).url)
    assert url.port
    async with proxied(url.port) as proxy:
        store = AsyncSQLStore(url.set(port=proxy.port))
        proxy.cut = lambda data: Cut.REQUEST if b"alembic_version" in data else None
        with pytest.raises(StoreUnavailable):
            await store.connect()
        proxy.cut = lambda data: None
        await store.connect()
        await store.disconnect()
