"""What makes a look worth it, as it is heard: events of this process, hints at others."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta

from oqron_sql.contract import AsyncStore, Store, StoreEvent, Waking


def waking_of(store: AsyncStore | Store, waking: Waking | None = None) -> Waking | None:
    """Return what wakes those who wait for a store's queues: what is given, or the store."""
    return waking or (store if isinstance(store, Waking) else None)


class Hearing:
    """Calls `heed` for each event of a queue, and `woken` at each hint, in the running loop."""

    def __init__(
        self,
        store: AsyncStore,
        queue: str,
        waking: Waking | None,
        *,
        heed: Callable[[StoreEvent], None],
        woken: Callable[[], None],
    ) -> None:
        self._store, self._queue = store, queue
        self._heed, self._woken = heed, woken
        self._loop, self._ident = asyncio.get_running_loop(), threading.get_ident()
        self._wakeup = None if waking is None else waking.wakeup(queue)

    def start(self) -> None:
        """Begin to hear events; hints are heard in `step`."""
        self._store.subscribe(self._queue, self.hear)

    def hear(self, event: StoreEvent) -> None:
        """Take note of an event, in whatever thread it is told."""
        if threading.get_ident() == self._ident:
            self._heed(event)
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._heed, event)

    @property
    def hints(self) -> bool:
        """Whether there are hints to wait for."""
        return self._wakeup is not None

    async def step(self, most: timedelta) -> None:
        """Wait for a hint, for so long at most."""
        if self._wakeup is not None and await self._wakeup.wait(most):
            self._woken()

    async def close(self) -> None:
        """Hear no more."""
        self._store.unsubscribe(self._queue, self.hear)
        if self._wakeup is not None:
            await self._wakeup.close()
