"""What the kit asks of whoever runs it: how to open a store, and what it cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, ClassVar, Protocol, TypeVar, cast

from oqron_sql.contract import AsyncStore, Store

CALLERS = 8
CAPABILITIES: Mapping[str, str] = {
    "shared_data": "a second instance can be opened on the same data",
    "movable_clock": "the harness can move the store's now",
    "server_clock": "the store's now is not the client's clock",
    "closing": "a store that is not connected refuses to work",
    "large_text": "a payload of 1 MiB can be stored",
}

Test = TypeVar("Test", bound=Callable[..., object])


class StoreHarness(ABC):
    """Opens stores for one test; `missing` says which capabilities they lack, and why."""

    missing: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self._opened: list[AsyncStore] = []

    @abstractmethod
    async def open(self) -> AsyncStore:
        """Return a connected, empty store that records metrics with default retention."""

    async def another(self) -> AsyncStore:
        """Return a second, connected instance on the same data (`shared_data`)."""
        raise NotImplementedError

    async def without_metrics(self) -> AsyncStore:
        """Return a connected store, on any data, that records no metrics."""
        raise NotImplementedError

    async def advance(self, span: timedelta) -> None:
        """Make all stores of this harness believe that `span` has passed (`movable_clock`)."""
        raise NotImplementedError

    async def keep(self, store: AsyncStore) -> AsyncStore:
        """Connect `store` and remember to disconnect it."""
        self._opened.append(store)
        await store.connect()
        return store

    async def close(self) -> None:
        """Disconnect every store that was opened, the last one first."""
        async with contextlib.AsyncExitStack() as stack:
            for store in self._opened:
                stack.push_async_callback(store.disconnect)
            self._opened.clear()


def marker(known: Mapping[str, str]) -> Callable[..., Callable[[Test], Test]]:
    """Return the decorator that names which of the `known` capabilities a test needs."""

    def requires(*capabilities: str) -> Callable[[Test], Test]:
        """Mark a test of the kit as one that needs `capabilities` of what it tests."""
        for capability in capabilities:
            if capability not in known:
                raise ValueError(f"{capability!r} is not one of {sorted(known)}")

        def mark(test: Test) -> Test:
            test.capabilities = capabilities  # type: ignore[attr-defined]  # as functions have
            return test

        return mark

    return requires


requires = marker(CAPABILITIES)


class Lacking(Protocol):
    """A harness, as far as it says what there is not."""

    @property
    def missing(self) -> Mapping[str, str]:
        """Capabilities, and why there are not."""


def why_not(test: Callable[..., object], harness: Lacking, *more: str) -> str | None:
    """Return why `test`, which needs `more` too, cannot be run with `harness`, or None."""
    needed: tuple[str, ...] = (*more, *getattr(test, "capabilities", ()))
    lacking = [f"{name}: {harness.missing[name]}" for name in needed if name in harness.missing]
    return "; ".join(lacking) or None


def awaited(store: Store) -> AsyncStore:
    """Return `store` as one to be awaited; calls run in threads, so that races are real."""
    return cast(AsyncStore, _Awaited(store))


class _Awaited:
    """Runs the methods of a blocking store in threads of its own."""

    def __init__(self, store: Store) -> None:
        self.subscribe = store.subscribe
        self.unsubscribe = store.unsubscribe
        self.has_subscribers = store.has_subscribers
        self._store = store
        self._threads = ThreadPoolExecutor(CALLERS + 1)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        @functools.wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            running = functools.partial(method, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._threads, running)

        return call

    async def disconnect(self) -> None:
        self._store.disconnect()
        self._threads.shutdown()
        self._threads = ThreadPoolExecutor(1)  # for what is called on a closed store
