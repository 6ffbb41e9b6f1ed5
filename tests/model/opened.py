"""Stores and adapters that are opened once and emptied before each walk.

Their statements are compiled once: opened anew for each walk, they spend a third of the time on it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import redis

from oqron_sql import Metrics
from oqron_sql.adapters.async_sql import AsyncSQLAdapters
from oqron_sql.adapters.sql import SQLAdapters
from oqron_sql.contract import Clock
from oqron_sql.schema.tables import tables
from tests.backends import BACKENDS, Backends, SQLHarness
from tests.model.dropping import administrator, drop
from tests.model.storage_steps import INDEXES
from tests.model.twins import finished
from tests.redis.harness import RedisHarness


class OpenedStores:
    """The stores of a backend, with metrics and without."""

    def __init__(self, name: str, backends: Backends, loop: asyncio.Runner) -> None:
        self.harness = cast("SQLHarness", backends.harness(name))
        self.clock = self.harness.clock
        self.empty = emptying(self.harness.url)
        self._loop = loop
        self._made: dict[Metrics | None, Any] = {}

    def store(self, metrics: Metrics | None) -> Any:
        """Return the store, empty; one that blocks without the threads that the kit calls it in."""
        if metrics not in self._made:
            kept = self._loop.run(self.harness.keep(self.harness.make(metrics)))
            self._made[metrics] = getattr(kept, "_store", kept)
        self.empty()
        return self._made[metrics]

    def drop(self, store: Any) -> None:
        """End the session that waits in the pool of a store."""
        drop(store, self.harness.url, self._loop)

    def close(self) -> None:
        """Close them."""
        self._loop.run(self.harness.close())


class OpenedAdapters:
    """The adapters of a backend; those on Redis, which have nothing to compile, anew each time."""

    def __init__(self, name: str, backends: Backends, loop: asyncio.Runner) -> None:
        self._loop = loop
        self._made: Any = None
        self._redis = backends.server(name) if name == "redis" else None
        if self._redis is None:
            backend = BACKENDS[name]
            self._url = backends.database(backend).url
            self.clock = Clock()
            self._empty = emptying(self._url)
            kind = SQLAdapters if backend.blocking else AsyncSQLAdapters
            self._made = kind(self._url, clock=self.clock, indexes=INDEXES)
            finished(self._made.connect(), loop)

    @contextlib.contextmanager
    def adapter(self, port: str) -> Iterator[Any]:
        """Give one of them, empty."""
        if self._redis is None:
            self._empty()
            yield getattr(self._made, port)
            return
        harness = RedisHarness(self._redis)
        self.clock = harness.clock
        try:
            yield self._loop.run(getattr(harness, port)())
        finally:
            self._loop.run(harness.close())  # which looks for what was left in the wrong place

    def drop(self, adapter: Any) -> None:
        """End the sessions that wait in the pool of an adapter."""
        if self._redis is None:
            drop(adapter, self._url, self._loop)
        else:
            with redis.Redis(port=self._redis.port) as admin:
                admin.client_kill_filter(_type="normal", skipme=True)

    def close(self) -> None:
        """Close them."""
        if self._made is not None:
            finished(self._made.close(), self._loop)


def emptying(url: str) -> Callable[[], None]:
    """Return what deletes every row of our tables in a database."""
    engine = administrator(url)
    statements = [table.delete() for table in reversed(tables().metadata.sorted_tables)]

    def empty() -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(statement)

    return empty
