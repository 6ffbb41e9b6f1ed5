"""The store's kit in transactions of a host, for `nox -s joined`.

Each call is made in a session of its own, which commits it. A plugin rather than a fixture, so
that the kit is the very same one.
"""

from __future__ import annotations

import functools
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from oqron_sql import AsyncSQLStore, AsyncStore, Metrics, SQLStore, dialects
from oqron_sql.errors import StoreUnavailable
from oqron_sql.testing import StoreHarness, awaited
from tests.backends import BACKENDS, Backends, SQLHarness
from tests.hosts.hosts import HOSTS
from tests.hosts.methods import OTHERS

ATTEMPTS = 30


class Joined:
    """A blocking store each of whose operations is a transaction of the host's."""

    def __init__(self, engine: sa.Engine, store: SQLStore) -> None:
        self.engine, self.store = engine, store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)
        return method if name in OTHERS - {"publish"} else functools.partial(self._call, name)

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        for attempt in range(ATTEMPTS):
            try:
                with Session(self.engine) as session, session.begin():
                    return getattr(self.store.using(session), name)(*args, **kwargs)
            except (DBAPIError, StoreUnavailable) as error:
                if attempt == ATTEMPTS - 1 or not is_to_be_expected(self.engine, error):
                    raise
        raise AssertionError("unreachable")

    def disconnect(self) -> None:
        """Disconnect the store, and end the host with it."""
        self.store.disconnect()
        self.engine.dispose()


class AsyncJoined(Joined):
    """As `Joined`, to be awaited."""

    def __init__(self, engine: AsyncEngine, store: AsyncSQLStore) -> None:
        self.awaited_engine = engine
        super().__init__(engine.sync_engine, cast("Any", store))

    async def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        for attempt in range(ATTEMPTS):
            try:
                async with AsyncSession(self.awaited_engine) as session, session.begin():
                    return await getattr(self.store.using(cast("Any", session)), name)(
                        *args, **kwargs
                    )
            except (DBAPIError, StoreUnavailable) as error:
                if attempt == ATTEMPTS - 1 or not is_to_be_expected(self.engine, error):
                    raise
        raise AssertionError("unreachable")

    async def disconnect(self) -> None:  # type: ignore[override]  # as every method here
        """Disconnect the store, and end the host: on the loop that its connections are of."""
        await cast("AsyncSQLStore", self.store).disconnect()
        await self.awaited_engine.dispose()


def is_to_be_expected(engine: sa.Engine, error: Exception) -> bool:
    """Whether a host has to try its transaction again, as ever: somebody else was faster."""
    if isinstance(error, DBAPIError):
        return dialects.get(engine.dialect.name).is_transient(error)
    return True


class JoinedHarness(SQLHarness):
    """Stores on the engine of a host."""

    def __init__(self, backend: Any, url: str) -> None:
        super().__init__(backend, url)
        self.missing = {**self.missing, "closing": "the host's connection is open"}  # type: ignore[misc]  # of this one alone

    def make(self, metrics: Metrics | None) -> AsyncStore:
        options: dict[str, Any] = {"clock": self.clock, "metrics": metrics}
        if self.backend.blocking:
            engine = sa.create_engine(self.url)
            return awaited(cast("Any", Joined(engine, SQLStore(engine, **options))))
        made = create_async_engine(self.url)
        return cast("AsyncStore", AsyncJoined(made, AsyncSQLStore(made, **options)))


def harness_of(backends: Backends, name: str) -> StoreHarness:
    """Return a harness of the backend with that name, for one test."""
    return JoinedHarness(BACKENDS[name], backends.database(BACKENDS[name]).url)


def pytest_configure() -> None:
    """Run the kit on the backends of hosts, joined."""
    for name in [name for name in BACKENDS if name not in HOSTS]:
        del BACKENDS[name]
    Backends.harness = harness_of  # type: ignore[method-assign,assignment]  # for whoever runs the kit
