"""The memory broker, twice: blocking and awaitable, over one set of bodies."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from oqron_sql.contract import codec
from oqron_sql.contract.adapters import MESSAGE_BYTES, Claim, Handler, Strategy
from oqron_sql.contract.asking import check_handler
from oqron_sql.contract.checks import check_duration, check_names
from oqron_sql.contract.clock import Clock
from oqron_sql.memory.adapters import brokering
from oqron_sql.memory.adapters.queues import MemoryQueues
from oqron_sql.memory.adapters.shell import Shell
from oqron_sql.memory.adapters.subscribing import Subscription
from oqron_sql.memory.binding import awaiting, blocking

if TYPE_CHECKING:
    from oqron_sql.contract.adapters import Broker
    from oqron_sql.contract.async_adapters import AsyncBroker

LONGEST = 3600.0  # seconds a thread sleeps at once: more than that, some platforms refuse


class _Broker(Shell[MemoryQueues]):
    def __init__(self, data: MemoryQueues | None = None, *, clock: Clock | None = None) -> None:
        super().__init__(data or MemoryQueues(), clock)

    def _try(
        self,
        until: float,
        waker: Callable[[], object],
        broker: str,
        consumer: str,
        ttl: timedelta,
        strategy: Strategy | str,
    ) -> Claim | float:
        """Return the claim, or for how many seconds to wait until it may be tried again."""
        claimed, change = self.run(
            lambda call: brokering.claim_or_wait(call, broker, consumer, ttl, strategy, waker)
        )
        if claimed is not None:
            return claimed
        left = min(until - time.monotonic(), LONGEST)
        return left if change is None else min(left, change.total_seconds())

    def _send(self, channel: str, message: Any) -> None:
        check_names(channel=channel)
        self.data.subscriptions.deliver(channel, codec.dumps(message, MESSAGE_BYTES))

    def _listen(
        self, channel: str, handler: Handler, loop: asyncio.AbstractEventLoop | None
    ) -> Callable[[], None]:
        check_names(channel=channel)
        subscription = Subscription(channel, check_handler(handler), loop)
        self.data.subscriptions.add(subscription)
        return partial(self.data.subscriptions.remove, subscription)


class MemoryBroker(_Broker):
    """A blocking broker in memory; its ids live in `data`, which others may share."""

    publish = blocking(brokering.publish)
    publish_batch = blocking(brokering.publish_batch)
    claim = blocking(brokering.claim)
    extend_lock = blocking(brokering.extend_lock)
    ack = blocking(brokering.ack)
    remove = blocking(brokering.remove)
    nack = blocking(brokering.nack)
    pause = blocking(brokering.pause)
    resume = blocking(brokering.resume)
    is_paused = blocking(brokering.is_paused)
    size = blocking(brokering.size)
    counts = blocking(brokering.counts)

    def claim_blocking(
        self,
        broker: str,
        consumer: str,
        ttl: timedelta,
        timeout: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Claim | None:
        """Claim one id, waiting for it."""
        until = time.monotonic() + check_duration("timeout", timeout).total_seconds()
        woken = threading.Event()
        try:
            while True:
                woken.clear()
                found = self._try(until, woken.set, broker, consumer, ttl, strategy)
                if isinstance(found, Claim):
                    return found
                if time.monotonic() >= until:
                    return None
                woken.wait(found)
        finally:
            self.run(lambda call: brokering.wait_no_more(call, broker, woken.set))

    def broadcast(self, channel: str, message: Any) -> None:
        """Call the subscribers in this thread; those that await are called on their loops."""
        self._send(channel, message)

    def subscribe(self, channel: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` in the thread of whoever broadcasts."""
        return self._listen(channel, handler, None)


class AsyncMemoryBroker(_Broker):
    """An awaitable broker in memory; its ids live in `data`, which others may share."""

    publish = awaiting(brokering.publish)
    publish_batch = awaiting(brokering.publish_batch)
    claim = awaiting(brokering.claim)
    extend_lock = awaiting(brokering.extend_lock)
    ack = awaiting(brokering.ack)
    remove = awaiting(brokering.remove)
    nack = awaiting(brokering.nack)
    pause = awaiting(brokering.pause)
    resume = awaiting(brokering.resume)
    is_paused = awaiting(brokering.is_paused)
    size = awaiting(brokering.size)
    counts = awaiting(brokering.counts)

    async def claim_blocking(
        self,
        broker: str,
        consumer: str,
        ttl: timedelta,
        timeout: timedelta,  # the contract's own word
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Claim | None:
        """Claim one id, waiting for it; it is claimed in the step that returns it."""
        until = time.monotonic() + check_duration("timeout", timeout).total_seconds()
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        waker = partial(_set, loop, woken)
        try:
            while True:
                woken.clear()
                found = self._try(until, waker, broker, consumer, ttl, strategy)
                if isinstance(found, Claim):
                    return found
                if time.monotonic() >= until:
                    return None
                alarm = loop.call_later(found, woken.set)
                try:
                    await woken.wait()
                finally:
                    alarm.cancel()
        finally:
            self.run(lambda call: brokering.wait_no_more(call, broker, waker))

    async def broadcast(self, channel: str, message: Any) -> None:
        """Have the subscribers called, each on its own loop."""
        self._send(channel, message)

    async def subscribe(
        self, channel: str, handler: Handler
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        """Call `handler` on this loop."""
        end = self._listen(channel, handler, asyncio.get_running_loop())

        async def unsubscribe() -> None:
            end()

        return unsubscribe


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Set an event from whichever thread."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)


if TYPE_CHECKING:
    _blocking: type[Broker] = MemoryBroker
    _awaiting: type[AsyncBroker] = AsyncMemoryBroker
