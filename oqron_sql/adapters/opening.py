"""The three adapters together, and things that are checked at once and opened when awaited."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Generic, Self, TypeVar

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
Begin = Callable[[], contextlib.AbstractAsyncContextManager[Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Adapters:
    """A storage, a broker and a lock.

    `closing` has whatever was opened for them, and `begin` opens a transaction in the SQL database
    that storage and broker share, if they do; both are the factories' to give.
    """

    storage: AsyncStorage
    broker: AsyncBroker
    lock: AsyncLock
    _: dataclasses.KW_ONLY
    closing: contextlib.AsyncExitStack | None = dataclasses.field(default=None, repr=False)
    begin: Begin | None = dataclasses.field(default=None, repr=False)

    async def close(self) -> None:
        """Close whatever was opened for the adapters, once; what was given open stays so."""
        if self.closing is not None:
            await self.closing.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def using(self, bind: Any) -> Adapters:
        """Return the adapters with storage and broker in the transaction of `bind`.

        `bind` is the host's AsyncSession, AsyncConnection or the like. The lock stays outside: a
        lock that nobody sees before the commit is none.

        Raises:
            ConfigurationError: the storage or the broker does not live in a SQL database.
        """
        return Adapters(_using(self.storage, bind), _using(self.broker, bind), self.lock)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Adapters]:
        """Open a transaction: what its storage and broker do is committed together, or not at all.

        Raises:
            ConfigurationError: storage and broker do not share a SQL database.
        """
        if self.begin is None:
            raise ConfigurationError(
                'a transaction needs storage and broker in one SQL database, as in mode "db"'
            )
        async with self.begin() as bind:
            yield self.using(bind)


def isolate(adapters: Adapters, project: str = PROJECT, environment: str = ENVIRONMENT) -> Adapters:
    """Return the adapters for one project and environment.

    What others do with the same names never shows. What the adapters underneath receive is
    `oqron:{project}:{environment}:{name}`; ids are left as they are. Closing closes the adapters
    underneath.

    Raises:
        InvalidName: `project` or `environment` is not a name.
    """
    scope = Scope(project, environment)
    return dataclasses.replace(
        adapters,
        storage=IsolatedStorage(adapters.storage, scope),
        broker=IsolatedBroker(adapters.broker, scope),
        lock=IsolatedLock(adapters.lock, scope),
    )


class Opening(Generic[T]):
    """Something that has been checked, and is opened by awaiting it, or by `async with`."""

    def __init__(self, open: Callable[[contextlib.AsyncExitStack], Awaitable[T]]) -> None:
        self._open = open
        self._closing = contextlib.AsyncExitStack()
        self._opened: list[T] = []

    def __await__(self) -> Generator[Any, None, T]:
        return self._once().__await__()

    async def _once(self) -> T:
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


def _using(adapter: Any, bind: Any) -> Any:
    if isinstance(adapter, IsolatedStorage | IsolatedBroker):
        return type(adapter)(_using(adapter.base, bind), adapter.scope)
    using = getattr(adapter, "using", None)
    if using is None:
        kind = type(adapter).__name__
        raise ConfigurationError(f"{kind} lives in no SQL database and cannot join a transaction")
    return using(bind)
