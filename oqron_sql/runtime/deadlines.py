"""When attempts time out: a wheel with one timer for all of them."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

STEP = 0.05
T = TypeVar("T")


class Deadlines(Generic[T]):
    """Calls `expired` with what was not taken out before its time, at most `STEP` seconds late.

    Setting and clearing one is a dictionary's work, however many there are.
    """

    def __init__(self, expired: Callable[[T], object]) -> None:
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._slots: dict[int, dict[T, None]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def set(self, item: T, seconds: float) -> int:
        """Let `item` expire after `seconds`; return what `clear` wants to know."""
        slot = int((self._loop.time() + seconds) / STEP) + 1
        if slot not in self._slots:
            self._slots[slot] = {}
            heapq.heappush(self._order, slot)
            if self._order[0] == slot:
                self._start()
        self._slots[slot][item] = None
        return slot

    def clear(self, item: T, slot: int) -> None:
        """Let `item` not expire; nothing if it has."""
        items = self._slots.get(slot)
        if items is not None:
            items.pop(item, None)

    def close(self) -> None:
        """Let nothing expire any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._slots.clear()
        self._order.clear()

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._order[0] * STEP, self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._order and self._order[0] * STEP <= now:
            for item in self._slots.pop(heapq.heappop(self._order)):
                self._expired(item)
        if self._order:
            self._start()
