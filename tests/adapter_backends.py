"""Every backend of adapters the tests run on, one line each, and how they are opened empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import ClassVar

from oqron_sql.contract import Clock
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.memory import (
    AsyncMemoryBroker,
    AsyncMemoryLock,
    AsyncMemoryStorage,
    MemoryDocuments,
    MemoryLocks,
    MemoryQueues,
)
from oqron_sql.testing import AdapterHarness
from tests.backends import Backends
from tests.redis.harness import RedisHarness


class MemoryHarness(AdapterHarness):
    """The memory adapters; instances share their data."""

    missing: ClassVar[Mapping[str, str]] = {"server_clock": "its clock is that of the process"}

    def __init__(self) -> None:
        self.clock = Clock()
        self.documents, self.queues, self.locks = MemoryDocuments(), MemoryQueues(), MemoryLocks()

    async def storage(self) -> AsyncStorage:
        return AsyncMemoryStorage(self.documents, clock=self.clock)

    async def broker(self) -> AsyncBroker:
        return AsyncMemoryBroker(self.queues, clock=self.clock)

    async def lock(self) -> AsyncLock:
        return AsyncMemoryLock(self.locks, clock=self.clock)

    async def advance(self, span: timedelta) -> None:
        self.clock.advance(span)

    async def stored_locks(self) -> int:
        return len(self.locks.held)


ADAPTER_BACKENDS: dict[str, Callable[[Backends], AdapterHarness]] = {
    "memory": lambda _: MemoryHarness(),
    "redis": lambda backends: RedisHarness(backends.server("redis")),
}
