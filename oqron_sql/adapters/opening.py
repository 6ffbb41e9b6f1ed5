"""The three adapters together, and things that are checked at once and opened when awaited."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Generic, Protocol, Self, TypeVar

from oqron_sql.adapters.isolation import (
    ENVIRONMENT,
    PROJECT,
    IsolatedBroker,
    IsolatedLock,
    IsolatedStorage,
    Scope,
)
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.errors import ConfigurationError

T = TypeVar("T")


class Joining(Protocol):
    """What three adapters are made of that share one SQL database."""

    def using(self, bind: Any, /) -> Three:
        """Return the same adapters in the transaction of `bind`."""

    def transaction(self) -> contextlib.AbstractAsyncContextManager[Three]:
        """Open a transaction."""


class Three(Joining, Protocol):
    """A storage, a broker and a lock, and the database that they share, if they do."""

    @property
    def storage(self) -> AsyncStorage:
        """The storage."""

    @property
    def broker(self) -> AsyncBroker:
        """The broker."""

    @property
    def lock(self) -> AsyncLock:
        """The lock."""


@dataclasses.dataclass(frozen=True, slots=True)
class Adapters:
    """A storage, a broker and a lock.

    `closing` has whatever was opened for them, `joining` the SQL database that they share, if they
    do; both are the factories' to give.
    """

    storage: AsyncStorage
    broker: AsyncBroker
    lock: AsyncLock
    _: dataclasses.KW_ONLY
    closing: contextlib.AsyncExitStack | None = dataclasses.field(default=None, repr=False)
    joining: Joining | None = dataclasses.field(default=None, repr=False)

    async def close(self) -> None:
        """Close whatever was opened for the adapters, once; what was given open stays so."""
        if self.closing is not None:
            await self.closing.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def using(self, bind: Any) -> Adapters:
        """Return the same adapters in the transaction of `bind`, which the host commits.

        `bind` is the host's AsyncSession, AsyncConnection or the like.

        Raises:
            ConfigurationError: the adapters do not share a SQL database.
        """
        three = self._shared().using(bind)
        return Adapters(three.storage, three.broker, three.lock, joining=three)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Adapters]:
        """Open a transaction: what is done with the adapters it gives is all committed, or none.

        Raises:
            ConfigurationError: the adapters do not share a SQL database, or are in a transaction.
        """
        async with self._shared().transaction() as three:
            yield Adapters(three.storage, three.broker, three.lock, joining=three)

    def _shared(self) -> Joining:
        if self.joining is None:
            raise ConfigurationError(
                'a transaction needs all adapters in one SQL database, as in mode "db"'
            )
        return self.joining


def isolate(adapters: Adapters, project: str = PROJECT, environment: str = ENVIRONMENT) -> Adapters:
    """Return the adapters for one project and environment.

    What others do with the same names never shows. What the adapters underneath receive is
    `oqron:{project}:{environment}:{name}`; ids are left as they are. Closing closes the adapters
    underneath.

    Raises:
        InvalidName: `project` or `environment` is not a name.
    """
    scope = Scope(project, environment)
    joining = adapters.joining and IsolatedJoining(adapters.joining, scope)
    return dataclasses.replace(
        _isolated(adapters, scope), closing=adapters.closing, joining=joining
    )


@dataclasses.dataclass(frozen=True, slots=True)
class IsolatedJoining:
    """Keeps to the scope in transactions too."""

    base: Joining
    scope: Scope

    def using(self, bind: Any, /) -> Adapters:
        """Return the same adapters in the transaction of `bind`."""
        return _isolated(self.base.using(bind), self.scope)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Adapters]:
        """Open a transaction."""
        async with self.base.transaction() as three:
            yield _isolated(three, self.scope)


def _isolated(three: Three, scope: Scope) -> Adapters:
    return Adapters(
        IsolatedStorage(three.storage, scope),
        IsolatedBroker(three.broker, scope),
        IsolatedLock(three.lock, scope),
        joining=IsolatedJoining(three, scope),
    )


class Opening(Generic[T]):
    """Something that has been checked, and is opened by awaiting it, or by `async with`."""

    def __init__(self, open: Callable[[contextlib.AsyncExitStack], Awaitable[T]]) -> None:
        self._open = open
        self._closing = contextlib.AsyncExitStack()
        self._turn = asyncio.Lock()
        self._opened: list[T] = []

    def __await__(self) -> Generator[Any, None, T]:
        return self._once().__await__()

    async def _once(self) -> T:
        async with self._turn:
            if not self._opened:
                try:
                    self._opened.append(await self._open(self._closing))
                except BaseException:
                    await self.close()
                    raise
        return self._opened[0]

    async def __aenter__(self) -> T:
        return await self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what was opened, once; what was given open stays so."""
        await self._closing.aclose()
