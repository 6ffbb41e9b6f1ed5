"""Who is told of a broadcast."""

from __future__ import annotations

import asyncio
import logging
import threading

from oqron_sql.contract import codec
from oqron_sql.contract.adapters import Handler

logger = logging.getLogger("oqron_sql")


class Subscription:
    """One handler on one channel; given a loop, it is called there and nowhere else."""

    def __init__(
        self, channel: str, handler: Handler, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.channel = channel
        self._handler = handler
        self._loop = loop
        self._ended = False

    def end(self) -> None:
        """Drop whatever is still to be delivered."""
        self._ended = True

    def deliver(self, text: str) -> None:
        """Call the handler, or let its loop do so."""
        if self._loop is None:
            self._call(text)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._call, text)

    def _call(self, text: str) -> None:
        if self._ended:
            return
        try:
            self._handler(codec.loads(text))
        except Exception:
            logger.warning("a subscriber of channel %r failed", self.channel, exc_info=True)


class Subscriptions:
    """Those of all channels."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[str, dict[Subscription, None]] = {}

    def add(self, subscription: Subscription) -> None:
        """Deliver to `subscription` from now on."""
        with self._lock:
            self._channels.setdefault(subscription.channel, {})[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        """Deliver nothing to it any more; it may be gone already."""
        subscription.end()
        with self._lock:
            others = self._channels.get(subscription.channel, {})
            others.pop(subscription, None)
            if not others:
                self._channels.pop(subscription.channel, None)

    def deliver(self, channel: str, text: str) -> None:
        """Tell everyone on the channel; they may subscribe and broadcast meanwhile."""
        with self._lock:
            told = tuple(self._channels.get(channel, ()))
        for subscription in told:
            subscription.deliver(text)
