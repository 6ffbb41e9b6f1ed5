"""The event loop that a pool's connections are bound to: another one cannot use them."""

from __future__ import annotations

import asyncio

from sqlalchemy import Engine
from sqlalchemy.pool import NullPool, Pool

from oqron_sql.errors import ConfigurationError


class Home:
    """Refuses to take a connection to another event loop, where its replies would never arrive."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def is_here(self) -> bool:
        """Whether the connections that the pool may have are of the running loop."""
        return self._engine.pool is not self._pool or asyncio.get_running_loop() is self._loop

    def enter(self) -> None:
        """Settle in the running loop.

        Raises:
            ConfigurationError: the pool has connections that are bound to another.
        """
        if not self.is_here():
            raise ConfigurationError(
                "the connections of this store belong to another event loop; use a store for each "
                "loop, disconnect() it or dispose of its engine before the loop ends, or create "
                "the engine with poolclass=NullPool"
            )
        pool = self._engine.pool
        self._pool = None if isinstance(pool, NullPool) else pool
        self._loop = asyncio.get_running_loop()
