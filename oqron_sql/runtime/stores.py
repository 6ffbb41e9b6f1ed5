"""Whatever store a worker is given, as one to be awaited."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from oqron_sql.contract import AsyncStore, Store

THREADS = 8
_AT_ONCE = frozenset({"subscribe", "unsubscribe", "has_subscribers", "using"})


def awaitable(store: AsyncStore | Store) -> AsyncStore:
    """Return the store itself if it is awaited, else one that makes its calls in threads."""
    if inspect.iscoroutinefunction(store.get_job):
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
