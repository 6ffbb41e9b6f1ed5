"""Every backend of adapters the tests run on, one line each, and how they are opened empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import ClassVar

from oqron_sql.adapters import (
    IsolatedBroker,
    IsolatedLock,
    IsolatedStorage,
    Scope,
    create_broker,
    create_lock,
    create_storage,
)
from oqron_sql.contract import Clock
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.memory import (
    AsyncMemoryBroker,
    AsyncMemoryLock,
    AsyncMemoryStorage,
    MemoryBroker,
    MemoryDocuments,
    MemoryLock,
    MemoryLocks,
    MemoryQueues,
    MemoryStorage,
)
from oqron_sql.testing import AdapterHarness
from tests.backends import BACKENDS, Backends
from tests.redis.harness import RedisHarness
from tests.sql_adapters import SQLAdapterHarness


class MemoryHarness(AdapterHarness):
    """The memory adapters, under either shell; instances share their data."""

    missing: ClassVar[Mapping[str, str]] = {"server_clock": "its clock is that of the process"}

    def __init__(self, *, blocking: bool = False) -> None:
        self.blocking = blocking
        self.clock = Clock()
        self.documents, self.queues, self.locks = MemoryDocuments(), MemoryQueues(), MemoryLocks()

    async def storage(self) -> AsyncStorage:
        if self.blocking:
            return create_storage(MemoryStorage(self.documents, clock=self.clock))
        return AsyncMemoryStorage(self.documents, clock=self.clock)

    async def broker(self) -> AsyncBroker:
        if self.blocking:
            return create_broker(MemoryBroker(self.queues, clock=self.clock))
        return AsyncMemoryBroker(self.queues, clock=self.clock)

    async def lock(self) -> AsyncLock:
        if self.blocking:
            return create_lock(MemoryLock(self.locks, clock=self.clock))
        return AsyncMemoryLock(self.locks, clock=self.clock)

    async def advance(self, span: timedelta) -> None:
        self.clock.advance(span)

    async def stored_locks(self) -> int:
        return len(self.locks.held)


class Isolated(AdapterHarness):
    """The adapters of another harness, isolated, with the names of the scope as odd as can be."""

    def __init__(self, base: AdapterHarness) -> None:
        self.base, self.scope = base, Scope("a:b%3A{x}*", "dev ?")
        self.missing = base.missing  # type: ignore[misc]  # of this one alone

    async def storage(self) -> AsyncStorage:
        return IsolatedStorage(await self.base.storage(), self.scope)

    async def broker(self) -> AsyncBroker:
        return IsolatedBroker(await self.base.broker(), self.scope)

    async def lock(self) -> AsyncLock:
        return IsolatedLock(await self.base.lock(), self.scope)

    async def advance(self, span: timedelta) -> None:
        await self.base.advance(span)

    async def stored_locks(self) -> int:
        return await self.base.stored_locks()

    async def close(self) -> None:
        await self.base.close()


ADAPTER_BACKENDS: dict[str, Callable[[Backends], AdapterHarness]] = {
    "memory": lambda _: MemoryHarness(),
    "memory-blocking": lambda _: MemoryHarness(blocking=True),
    "memory-isolated": lambda _: Isolated(MemoryHarness()),
    "redis": lambda backends: RedisHarness(backends.server("redis")),
    "redis-isolated": lambda backends: Isolated(RedisHarness(backends.server("redis"))),
    **{
        name: partial(SQLAdapterHarness, name=name)
        for name, backend in BACKENDS.items()
        if not backend.in_memory
    },
}
ISOLATED = {
    "sqlite-isolated": "sqlite-thread",
    "pg-isolated": "pg-asyncpg",
    "maria-isolated": "maria-asyncmy",
}
for isolated, name in ISOLATED.items():
    if name in BACKENDS:  # which a plugin may have put others in the place of
        ADAPTER_BACKENDS[isolated] = lambda backends, name=name: Isolated(  # type: ignore[misc]
            SQLAdapterHarness(backends, name=name)
        )
# The kit runs on them if they are asked for: by default one blocking and one awaited driver of each
# database are enough, for the bodies are the same and the store's kit runs on all; and isolation
# knows of no database.
WHEN_ASKED = frozenset({"pg-psycopg", "maria-pymysql-thread", "pg-isolated", "maria-isolated"})
