"""The SQL adapters, as the kit opens them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, ClassVar

import sqlalchemy as sa

from oqron_sql.adapters.async_sql import AsyncSQLAdapters
from oqron_sql.adapters.sql import SQLAdapters
from oqron_sql.contract import Clock
from oqron_sql.contract.adapters import Handler
from oqron_sql.testing import AdapterHarness
from tests.backends import BACKENDS, OWN_CLOCK, Backends

CALLERS = 12


class SQLAdapterHarness(AdapterHarness):
    """Adapters on a URL, each with an engine of its own."""

    missing: Mapping[str, str]  # type: ignore[misc]  # of this one alone

    def __init__(self, backends: Backends, name: str) -> None:
        self.backend = BACKENDS[name]
        self.url = backends.database(self.backend).url
        self.clock = Clock()
        self._opened: list[Any] = []
        own_clock = {} if self.backend.server else {"server_clock": OWN_CLOCK}
        blocking = {"giving_up": "threads are not cancelled"} if self.backend.blocking else {}
        self.missing = {**own_clock, **blocking}

    async def open(self) -> Any:
        if self.backend.blocking:
            made: Any = Awaited(SQLAdapters(self.url, clock=self.clock))
        else:
            made = AsyncSQLAdapters(self.url, clock=self.clock)
        self._opened.append(made)
        await made.connect()
        return made

    async def storage(self) -> Any:
        return (await self.open()).storage

    async def broker(self) -> Any:
        return (await self.open()).broker

    async def lock(self) -> Any:
        return (await self.open()).lock

    async def advance(self, span: timedelta) -> None:
        self.clock.advance(span)

    async def stored_locks(self) -> int:
        counted = sa.text("SELECT count(*) FROM oqron_locks WHERE name <> ''")
        first = self._opened[0]

        def count(tx: Any) -> int:
            return int(tx.conn.scalar(counted))

        return int(await first.lock.run(count))

    async def close(self) -> None:
        for made in reversed(self._opened):
            await made.close()
        self._opened.clear()


class Awaited:
    """Blocking adapters, awaited: their calls are made in threads."""

    PORTS: ClassVar = ("storage", "broker", "lock")

    def __init__(self, blocking: Any, threads: ThreadPoolExecutor | None = None) -> None:
        self._blocking = blocking
        self._threads = threads or ThreadPoolExecutor(CALLERS)

    def __getattr__(self, name: str) -> Any:
        if name in self.PORTS:
            return Awaited(getattr(self._blocking, name), self._threads)
        return functools.partial(self._call, getattr(self._blocking, name))

    async def subscribe(self, channel: str, handler: Handler) -> Callable[[], Any]:
        """Call the handler on the loop, while the thread of the broker waits for it."""
        loop = asyncio.get_running_loop()

        def handle(message: Any) -> None:
            async def on_loop() -> None:
                handler(message)

            asyncio.run_coroutine_threadsafe(on_loop(), loop).result()

        usable = (
            handle if callable(handler) and not asyncio.iscoroutinefunction(handler) else handler
        )
        end = await self._call(self._blocking.subscribe, channel, usable)
        return functools.partial(self._call, end)

    async def close(self) -> None:
        await self._call(self._blocking.close)
        self._threads.shutdown()

    async def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        running = functools.partial(method, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, running)
