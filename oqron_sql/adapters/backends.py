"""Where adapters live: in memory, in a SQL database, on Redis. What is not used is not imported."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from oqron_sql.adapters.opening import Joining
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.contract.checks import meant
from oqron_sql.errors import ConfigurationError

Options = Mapping[str, Any]


class Backend(Protocol):
    """A place for adapters, checked and not yet opened."""

    @property
    def joining(self) -> Joining | None:
        """The SQL database that all adapters made here share, if it is one."""

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Let go of what is ours; may be called again, and without `open`."""

    def storage(self) -> AsyncStorage:
        """Return a storage here."""

    def broker(self) -> AsyncBroker:
        """Return a broker here."""

    def lock(self) -> AsyncLock:
        """Return a lock here."""


class MemoryBackend:
    """The memory of the process; each backend has its own."""

    joining: Joining | None = None

    async def open(self) -> None:
        """Do nothing: memory is always open."""

    async def close(self) -> None:
        """Do nothing."""

    def storage(self) -> AsyncStorage:
        """Return an empty storage."""
        from oqron_sql.memory import AsyncMemoryStorage

        return AsyncMemoryStorage()

    def broker(self) -> AsyncBroker:
        """Return an empty broker."""
        from oqron_sql.memory import AsyncMemoryBroker

        return AsyncMemoryBroker()

    def lock(self) -> AsyncLock:
        """Return a lock of which nobody has any."""
        from oqron_sql.memory import AsyncMemoryLock

        return AsyncMemoryLock()


class SQLBackend:
    """A SQL database: its URL, or an engine of the host's, which stays open."""

    def __init__(self, bind: Any, options: Options) -> None:
        try:
            from oqron_sql.adapters import async_sql, ports
        except ImportError as error:
            raise ConfigurationError(f"the SQL adapters cannot be used: {error}") from error
        _check("db_options", options, ["indexes", *ports.Options.__annotations__])
        self._adapters = async_sql.AsyncSQLAdapters(bind, **options)
        self.joining: Joining | None = self._adapters

    async def open(self) -> None:
        """Connect, and bring the tables up to date unless told not to."""
        await self._adapters.connect()

    async def close(self) -> None:
        """Let go of what is ours."""
        await self._adapters.close()

    def storage(self) -> AsyncStorage:
        """Return a storage in the database."""
        made: AsyncStorage = self._adapters.storage
        return made

    def broker(self) -> AsyncBroker:
        """Return a broker in the database."""
        made: AsyncBroker = self._adapters.broker
        return made

    def lock(self) -> AsyncLock:
        """Return a lock in the database."""
        made: AsyncLock = self._adapters.lock
        return made


class RedisBackend:
    """A Redis server or cluster: its URL, or a client of the host's, which stays open."""

    joining: Joining | None = None

    def __init__(self, server: Any, options: Options) -> None:
        try:
            from oqron_sql import redis
        except ImportError as error:
            raise ConfigurationError(f"the Redis adapters cannot be used: {error}") from error
        self._redis: Any = redis
        _check("redis_options", options, [*inspect.signature(redis.RedisConnection).parameters][1:])
        self._connect = functools.partial(redis.RedisConnection, server, **options)
        self._connection = self._connect()

    async def open(self) -> None:
        """Connect, and check that the server can keep what is promised."""
        if self._connection.closed:  # as it is after an attempt that failed
            self._connection = self._connect()
        await self._connection.open()

    async def close(self) -> None:
        """Let go of what is ours."""
        await self._connection.close()

    def storage(self) -> AsyncStorage:
        """Return a storage on the server."""
        made: AsyncStorage = self._redis.AsyncRedisStorage(self._connection)
        return made

    def broker(self) -> AsyncBroker:
        """Return a broker on the server."""
        made: AsyncBroker = self._redis.AsyncRedisBroker(self._connection)
        return made

    def lock(self) -> AsyncLock:
        """Return a lock on the server."""
        made: AsyncLock = self._redis.AsyncRedisLock(self._connection)
        return made


def _check(name: str, options: Options, known: Iterable[str]) -> None:
    known = [*known]
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"{name} must be a mapping of names to values")
    unknown = [each for each in options if each not in known]
    if unknown:
        problems = ", ".join(f"{each!r}{meant(str(each), known)}" for each in unknown)
        raise ConfigurationError(f"{name}: there is no {problems}; there are {', '.join(known)}")
