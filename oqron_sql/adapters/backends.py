"""Where adapters live: in memory, in a SQL database, in Redis. What is not used is not imported."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from oqron_sql.adapters.opening import Begin
from oqron_sql.adapters.ports import meant
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.contract.clock import Clock
from oqron_sql.errors import ConfigurationError

Options = Mapping[str, Any]


class Backend(Protocol):
    """A place for adapters, checked and not yet opened."""

    @property
    def begin(self) -> Begin | None:
        """Opens a transaction of storage and broker, where there is such a thing."""

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Let go of what `open` opened."""

    def storage(self) -> AsyncStorage:
        """Return a storage here."""

    def broker(self) -> AsyncBroker:
        """Return a broker here."""

    def lock(self) -> AsyncLock:
        """Return a lock here."""


class MemoryBackend:
    """The memory of the process; each backend has its own."""

    begin: Begin | None = None

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock

    async def open(self) -> None:
        """Do nothing: memory is always open."""

    async def close(self) -> None:
        """Do nothing."""

    def storage(self) -> AsyncStorage:
        """Return an empty storage."""
        from oqron_sql.memory import AsyncMemoryStorage

        return AsyncMemoryStorage(clock=self._clock)

    def broker(self) -> AsyncBroker:
        """Return an empty broker."""
        from oqron_sql.memory import AsyncMemoryBroker

        return AsyncMemoryBroker(clock=self._clock)

    def lock(self) -> AsyncLock:
        """Return a lock of which nobody has any."""
        from oqron_sql.memory import AsyncMemoryLock

        return AsyncMemoryLock(clock=self._clock)


class SQLBackend:
    """A SQL database, given by its URL or as an engine of the host's."""

    def __init__(self, bind: Any, options: Options) -> None:
        try:
            from oqron_sql.adapters import sql  # type: ignore[attr-defined]  # not there yet
        except ImportError as error:
            raise ConfigurationError(f"the SQL adapters cannot be used: {error}") from error
        self._sql = sql
        self._connection = call("db_options", sql.SQLConnection, bind, options)
        self.begin: Begin | None = self._connection.begin

    async def open(self) -> None:
        """Connect, and bring the tables up to date unless told not to."""
        await self._connection.open()

    async def close(self) -> None:
        """Dispose of the engine, if it is ours."""
        await self._connection.close()

    def storage(self) -> AsyncStorage:
        """Return a storage in the database."""
        return self._sql.AsyncSQLStorage(self._connection)  # type: ignore[no-any-return]  # as above

    def broker(self) -> AsyncBroker:
        """Return a broker in the database."""
        return self._sql.AsyncSQLBroker(self._connection)  # type: ignore[no-any-return]  # as above

    def lock(self) -> AsyncLock:
        """Return a lock in the database."""
        return self._sql.AsyncSQLLock(self._connection)  # type: ignore[no-any-return]  # as above


class RedisBackend:
    """A Redis server or cluster, given by its URL or as a client of the host's."""

    begin: Begin | None = None

    def __init__(self, server: Any, options: Options) -> None:
        try:
            from oqron_sql import redis
        except ImportError as error:
            raise ConfigurationError(f"the Redis adapters cannot be used: {error}") from error
        self._redis = redis
        self._connection = call("redis_options", redis.RedisConnection, server, options)

    async def open(self) -> None:
        """Connect, and check that the server can keep what is promised."""
        await self._connection.open()

    async def close(self) -> None:
        """Close what is ours of the connections."""
        await self._connection.close()

    def storage(self) -> AsyncStorage:
        """Return a storage on the server."""
        return self._redis.AsyncRedisStorage(self._connection)  # type: ignore[no-any-return]  # as above

    def broker(self) -> AsyncBroker:
        """Return a broker on the server."""
        return self._redis.AsyncRedisBroker(self._connection)  # type: ignore[no-any-return]  # as above

    def lock(self) -> AsyncLock:
        """Return a lock on the server."""
        return self._redis.AsyncRedisLock(self._connection)  # type: ignore[no-any-return]  # as above


def call(name: str, function: Callable[..., Any], bind: Any, options: Options) -> Any:
    """Call `function` with `bind` and the options that were passed under that name.

    Raises:
        ConfigurationError: it takes no such option.
    """
    known = inspect.signature(function).parameters
    unknown = [each for each in options if each not in [*known][1:]]
    if unknown:
        problems = ", ".join(f"{each!r}{meant(each, [*known][1:])}" for each in unknown)
        raise ConfigurationError(f"{name}: no such option as {problems}")
    return function(bind, **options)
