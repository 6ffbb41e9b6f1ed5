"""The SQL adapters, as the kit opens them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

import sqlalchemy as sa

from oqron_sql.adapters import create_broker, create_lock, create_storage
from oqron_sql.adapters.async_sql import AsyncSQLAdapters
from oqron_sql.adapters.sql import SQLAdapters
from oqron_sql.contract import Clock
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.testing import AdapterHarness
from tests.backends import BACKENDS, OWN_CLOCK, Backends


class SQLAdapterHarness(AdapterHarness):
    """Adapters on a URL, each with an engine of its own."""

    missing: Mapping[str, str]  # type: ignore[misc]  # of this one alone
    options: ClassVar[Any] = {}

    def __init__(self, backends: Backends, name: str) -> None:
        self.backend = BACKENDS[name]
        self.url = backends.database(self.backend).url
        self.clock = Clock()
        self._opened: list[Any] = []
        own_clock = {} if self.backend.server else {"server_clock": OWN_CLOCK}
        self.missing = {**self.backend.missing, **own_clock}

    async def open(self) -> Any:
        """Open an engine of its own."""
        made = (SQLAdapters if self.backend.blocking else AsyncSQLAdapters)(
            self.url, clock=self.clock, **self.options
        )
        self._opened.append(made)
        await self.call(made.connect)
        return made

    async def storage(self) -> AsyncStorage:
        return create_storage((await self.open()).storage)

    async def broker(self) -> AsyncBroker:
        return create_broker((await self.open()).broker)

    async def lock(self) -> AsyncLock:
        return create_lock((await self.open()).lock)

    async def advance(self, span: timedelta) -> None:
        self.clock.advance(span)

    async def stored_locks(self) -> int:
        counted = sa.text("SELECT count(*) FROM oqron_locks WHERE name <> ''")
        first = self._opened[0]

        def count(tx: Any) -> int:
            return int(tx.conn.scalar(counted))

        return int(await self.call(first.lock.run, count))

    async def close(self) -> None:
        for made in reversed(self._opened):
            await self.call(made.close)
        self._opened.clear()

    async def call(self, method: Any, *args: Any) -> Any:
        return await (asyncio.to_thread(method, *args) if self.backend.blocking else method(*args))
