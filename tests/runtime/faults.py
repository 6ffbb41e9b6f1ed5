"""A store between the worker and the real one: it counts calls, and breaks them when told to."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

from oqron_sql import AsyncStore
from oqron_sql.errors import StoreUnavailable

PLAIN = frozenset({"subscribe", "unsubscribe", "has_subscribers", "wakeup", "hints"})


class Faulty:
    """Passes every call on, except those of methods that are `broken`."""

    def __init__(self, store: AsyncStore, original: Faulty | None = None) -> None:
        self._store = store
        self._state = original or self
        self.calls: Counter[str] = Counter()
        self.failures = 0
        self.broken: set[str] = set()
        self.hanging = False
        self.twinless = False
        self.error: Callable[[str], Exception] = StoreUnavailable

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in PLAIN:
            return method
        state = self._state

        @functools.wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            state.calls[name] += 1
            if name in state.broken:
                state.failures += 1
                if state.hanging:
                    await asyncio.sleep(3600)
                raise state.error(name)
            return await method(*args, **kwargs)

        if name == "twin":
            return lambda: None if state.twinless else Faulty(method(), state)
        return call
