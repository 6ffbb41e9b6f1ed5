"""Which store goes with which class, and any store as one to be awaited."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from oqron_sql.contract import AsyncStore, Store
from oqron_sql.errors import ConfigurationError

S = TypeVar("S", bound=AsyncStore | Store)

THREADS = 8
_AT_ONCE = frozenset({"subscribe", "unsubscribe", "has_subscribers", "using"})


def fitting(store: S, user: str, *, awaited: bool | None = None) -> S:
    """Return the store, if the class called `user` can use it: one that is awaited, or is not.

    Raises:
        ConfigurationError: it is of the other kind, or no store at all.
    """
    if isinstance(store, type) or not callable(getattr(store, "get_job", None)):
        raise ConfigurationError(
            f"{user} needs a store, such as AsyncSQLStore(url) or SQLStore(url), and got "
            + (f"the class {store.__name__}" if isinstance(store, type) else _kind(store))
        )
    if awaited is None or awaited == is_awaited(store):
        return store
    name = type(store).__name__
    if awaited:
        raise ConfigurationError(
            f"{user} awaits its store, and the methods of {name} are not `async def`: "
            f"use Blocking{user}, or a store that is awaited, such as AsyncSQLStore"
        )
    raise ConfigurationError(
        f"{user} does not await its store, and the methods of {name} are `async def`: "
        f"use {user.removeprefix('Blocking')}, or a store that blocks, such as SQLStore"
    )


def is_awaited(store: AsyncStore | Store) -> bool:
    """Whether the methods of a store are to be awaited, which its contract says of all or none."""
    return inspect.iscoroutinefunction(store.get_job)


def awaitable(store: AsyncStore | Store) -> AsyncStore:
    """Return the store itself if it is awaited, else one that makes its calls in threads."""
    if is_awaited(store):
        return cast("AsyncStore", store)
    return cast("AsyncStore", InThreads(cast("Store", store)))


class InThreads:
    """A blocking store, awaited: each call is made in a thread of its own pool.

    Blocking stores are used from many threads anyway, so its twin is another pool.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, "oqron_sql store")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._store, name)
        if name in _AT_ONCE:
            return method

        @functools.wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            made = functools.partial(method, *args, **kwargs)
            result = await asyncio.get_running_loop().run_in_executor(self._threads, made)
            # A plain function may still return something to be awaited.
            return await result if inspect.isawaitable(result) else result

        setattr(self, name, call)
        return call

    def twin(self) -> InThreads:
        """Return the same store, for another event loop."""
        return InThreads(self._store)

    async def connect(self) -> None:
        """Do nothing: whoever made the store connects it."""

    async def disconnect(self) -> None:
        """Let the threads end; the store is the caller's."""
        self._threads.shutdown(wait=False)


def _kind(store: object) -> str:
    return f"an object of type {type(store).__name__}"
