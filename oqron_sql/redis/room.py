"""Where callers of one process wait for an id of one queue."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator

# Nobody sleeps longer than this without a look, in seconds: a wake-up call may have been lost.
LONGEST_SLEEP = 1.0


class Turn:
    """One caller that waits."""

    def __init__(self) -> None:
        self.called = asyncio.Event()


class Room:
    """Wakes one caller at a time; one that was called and leaves has another one called.

    A caller looks for an id, tells what it saw, and sleeps. What may happen between its look and
    its sleep is not missed: it can be called from its entrance on.
    """

    def __init__(self) -> None:
        self._uncalled: dict[Turn, None] = {}
        self._present = 0
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def entered(self) -> Iterator[Turn]:
        """Be in the room, at the end of the line."""
        turn = Turn()
        self._uncalled[turn] = None
        self._present += 1
        try:
            yield turn
        finally:
            self._present -= 1
            was_called = turn not in self._uncalled
            self._uncalled.pop(turn, None)
            # Without a timer nobody would be woken for the next id that falls due.
            if was_called or self._timer is None:
                self.call()
            if not self._present:
                self._set_timer(None)

    def call(self, how_many: int = 1) -> None:
        """Call those who wait longest."""
        while how_many > 0 and self._uncalled:
            turn = next(iter(self._uncalled))
            del self._uncalled[turn]
            turn.called.set()
            how_many -= 1

    def about_to_look(self, turn: Turn) -> None:
        """Count what happens from now on as not seen."""
        if turn.called.is_set():
            turn.called.clear()
            self._uncalled[turn] = None

    def expect(self, seconds: float | None) -> None:
        """Call somebody when the next id will wait: in so many seconds, if anybody knows."""
        sleep = LONGEST_SLEEP * random.uniform(1, 1.5)  # noqa: S311 - no secret
        self._set_timer(sleep if seconds is None else min(sleep, seconds + 0.0005))

    def _ring(self) -> None:
        self._timer = None
        self.call()

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self._ring)
