"""Who is told of broadcasts that are rows in a table."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

from oqron_sql.contract import codec
from oqron_sql.contract.adapters import Handler
from oqron_sql.queries.broadcasting import KEPT, Question

logger = logging.getLogger("oqron_sql")

MOST_MISSED = 1000


class Subscription:
    """A handler of one channel's messages; given a loop, it is called there."""

    def __init__(
        self, channel: str, since: int, handler: Handler, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.channel, self.since = channel, since
        self._handler, self._loop = handler, loop
        self._ended = False

    def end(self) -> None:
        """Call the handler no more, whatever is on its way."""
        self._ended = True

    def deliver(self, body: str) -> None:
        """Call the handler with a copy of the message."""
        if self._loop is None:
            self._call(body)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._call, body)

    def _call(self, body: str) -> None:
        if self._ended:
            return
        try:
            self._handler(codec.loads(body))
        except Exception:
            logger.warning("a subscriber of channel %r failed", self.channel, exc_info=True)


class Subscriptions:
    """Those of one broker, and how far its messages were read.

    Numbers are given before transactions are committed, so that one may come late: those that were
    passed over are asked for again, for as long as messages are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: set[Subscription] = set()
        self._read: int | None = None
        self._missed: dict[int, float] = {}

    def add(self, subscription: Subscription) -> None:
        """Deliver what is sent from now on."""
        with self._lock:
            self._all.add(subscription)
            if self._read is None:
                self._read = subscription.since

    def remove(self, subscription: Subscription) -> None:
        """Deliver nothing more to it."""
        subscription.end()
        with self._lock:
            self._all.discard(subscription)
            if not self._all:
                self._read = None
                self._missed.clear()

    def clear(self) -> None:
        """Deliver nothing more."""
        for subscription in tuple(self._all):
            self.remove(subscription)

    def question(self) -> Question | None:
        """Return what to read; None if nobody is told any more."""
        with self._lock:
            if self._read is None:
                return None
            recently = time.monotonic() - KEPT.total_seconds()
            self._missed = {n: seen for n, seen in self._missed.items() if seen > recently}
            channels = sorted({each.channel for each in self._all})
            return Question(self._read, list(self._missed), channels)

    def deliver(self, rows: Iterable[Any]) -> bool:
        """Deliver what was read; whether to ask at once for what nobody subscribed to before."""
        again = False
        for row in rows:
            with self._lock:
                if self._read is None:
                    return False
                self._note(row.id)
                told = [s for s in self._all if s.channel == row.channel and s.since < row.id]
                if told and row.body is None:
                    self._missed[row.id], again = time.monotonic(), True
                    continue
            for subscription in told:
                subscription.deliver(row.body)
        return again

    def _note(self, number: int) -> None:
        read = self._read or 0
        self._missed.pop(number, None)
        if number > read:
            first = max(read + 1, number - MOST_MISSED)
            self._missed |= dict.fromkeys(range(first, number), time.monotonic())
            self._read = number
