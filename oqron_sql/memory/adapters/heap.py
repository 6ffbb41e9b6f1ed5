"""A heap of things that move on: what is no longer where it was is skipped when it comes up."""

from __future__ import annotations

import heapq
from typing import Any, Generic, Protocol, TypeVar


class Moving(Protocol):
    """Something with a number of its own and a version that rises whenever it moves."""

    seq: int
    version: int


M = TypeVar("M", bound=Moving)
LEAST = 64


class Heap(Generic[M]):
    """Entries by key, the lowest first. Each step costs the logarithm of their number."""

    def __init__(self) -> None:
        self._entries: list[tuple[Any, int, int, M]] = []
        self._room = LEAST

    def push(self, key: Any, thing: M) -> None:
        """Enter `thing`, as it is now."""
        if len(self._entries) >= self._room:  # rarely: when it has doubled since the last time
            self._entries = [entry for entry in self._entries if _is_current(entry)]
            heapq.heapify(self._entries)
            self._room = max(LEAST, 2 * len(self._entries))
        heapq.heappush(self._entries, (key, thing.seq, thing.version, thing))

    def first(self) -> tuple[Any, M] | None:
        """Return the lowest key and what has it, or None."""
        while self._entries:
            if _is_current(self._entries[0]):
                return self._entries[0][0], self._entries[0][3]
            heapq.heappop(self._entries)
        return None


def _is_current(entry: tuple[Any, int, int, Moving]) -> bool:
    return entry[2] == entry[3].version
