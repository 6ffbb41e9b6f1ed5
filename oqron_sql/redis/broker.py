"""The broker on Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from oqron_sql.contract import codec
from oqron_sql.contract.adapters import (
    MESSAGE_BYTES,
    BrokerCounts,
    Claim,
    Handler,
    Message,
    Strategy,
)
from oqron_sql.contract.asking import (
    ambiguous,
    check_handler,
    check_messages,
    check_priority,
    check_strategy,
    check_ttl,
)
from oqron_sql.contract.async_store import Later
from oqron_sql.contract.checks import check_count, check_duration, check_name, check_names
from oqron_sql.errors import ClaimLost
from oqron_sql.redis import keys
from oqron_sql.redis.claiming import Claiming
from oqron_sql.redis.connection import RedisConnection
from oqron_sql.redis.gathering import Gathering
from oqron_sql.redis.queue import Queue
from oqron_sql.redis.script import Script

if TYPE_CHECKING:
    from oqron_sql.contract.async_adapters import AsyncBroker

BROADCAST = Script("request", "broadcast")
logger = logging.getLogger("oqron_sql")


class _Desk:
    """What this process does with one broker name."""

    def __init__(self, connection: RedisConnection, name: str) -> None:
        self.queue = Queue(connection, name)
        self.claiming = Claiming(connection, self.queue)
        self.publishing = Gathering(self._publish)
        self.acking = Gathering(self.queue.ack)
        self.nacking = Gathering(self.queue.nack)
        self.is_known = False

    async def _publish(self, messages: Sequence[Message]) -> list[None]:
        await self.queue.publish(messages)
        return [None] * len(messages)


class AsyncRedisBroker:
    """An awaitable broker on Redis."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._desks: dict[str, _Desk] = {}
        self._brokers = f"{connection.prefix}:brokers"

    async def publish(
        self, broker: str, id: str, delay: timedelta = timedelta(0), priority: int = 0
    ) -> None:
        """Let the id wait, now or after `delay`."""
        check_name("id", id)
        keys.from_now("delay", check_duration("delay", delay))
        check_priority(priority)
        await self._asked(broker).publishing.add(Message(id, delay, priority))

    async def publish_batch(self, broker: str, messages: Sequence[Message]) -> None:
        """Publish all or none, in order; of equal ids the last counts."""
        checked = check_messages(messages)
        for message in checked:
            keys.from_now("delay", message.delay)
        await self._desk(broker).queue.publish(checked)

    async def claim(
        self,
        broker: str,
        consumer: str,
        limit: int,
        ttl: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> list[Claim]:
        """Claim up to `limit` ids for `consumer` until now + `ttl`, in the order of `strategy`."""
        check_names(consumer=consumer)
        check_count("limit", limit)
        span, chosen = keys.from_now("ttl", check_ttl(ttl)), check_strategy(strategy)
        desk = await self._known(broker)
        return await desk.claiming.claim(consumer, limit, span, chosen)

    async def claim_blocking(
        self,
        broker: str,
        consumer: str,
        ttl: timedelta,
        timeout: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Claim | None:
        """Claim one id, waiting for it up to `timeout`; a pause is waited out."""
        check_names(consumer=consumer)
        check_duration("timeout", timeout)
        span, chosen = keys.from_now("ttl", check_ttl(ttl)), check_strategy(strategy)
        desk = await self._known(broker)
        return await desk.claiming.claim_one(consumer, span, timeout, chosen)

    async def extend_lock(
        self, id: str, consumer: str, ttl: timedelta, broker: str | None = None
    ) -> None:
        """Let the claim end at now + `ttl`."""
        check_names(id=id, consumer=consumer)
        span = keys.from_now("ttl", check_ttl(ttl))
        held = self._desk(broker).queue if broker is not None else await self._held(id, consumer)
        if not await held.extend(id, consumer, span):
            raise ClaimLost(broker, id, consumer)

    async def ack(self, broker: str, id: str) -> bool:
        """Take the id out, whatever its state; whether there was one."""
        check_name("id", id)
        return _answer(await self._asked(broker).acking.add(id), broker, id)

    async def remove(self, broker: str, id: str) -> bool:
        """Take the id out, whoever claimed it, and forget that it was published meanwhile."""
        check_name("id", id)
        (done,) = await self._desk(broker).queue.ack([id], forget=True)
        return bool(done)

    async def nack(
        self, broker: str, id: str, delay: timedelta = timedelta(0), priority: int | None = None
    ) -> bool:
        """Hand a claimed id back: to the head of its priority, or after `delay`; whether it was."""
        check_name("id", id)
        wait = keys.from_now("delay", check_duration("delay", delay))
        if priority is not None:
            check_priority(priority)
        given = (id, wait, priority)
        return _answer(await self._asked(broker).nacking.add(given), broker, id)

    async def pause(self, broker: str) -> None:
        """Hand out nothing until `resume`; everything else goes on."""
        await self._desk(broker).queue.pause()

    async def resume(self, broker: str) -> None:
        """Hand out again, and wake who waits."""
        await self._desk(broker).queue.resume()

    async def is_paused(self, broker: str) -> bool:
        """Whether the broker is paused."""
        return await self._desk(broker).queue.is_paused()

    async def size(self, broker: str) -> int:
        """Return how many ids there are, in any state."""
        return await self._desk(broker).queue.size()

    async def counts(self, broker: str) -> BrokerCounts:
        """Return how many ids there are per state."""
        return await self._desk(broker).queue.counts()

    async def broadcast(self, channel: str, message: Any) -> None:
        """Send `message`, as JSON, to whoever subscribes to the channel now, in any process."""
        check_name("channel", channel)
        text = codec.dumps(message, MESSAGE_BYTES)
        base = keys.base(self._connection.prefix, "channel", channel)
        await self._connection.run_once(BROADCAST, base, (), base, text)

    async def subscribe(self, channel: str, handler: Handler) -> Callable[[], Later[None]]:
        """Call `handler` with each message; return what ends that, and may be called again."""
        check_name("channel", channel)
        check_handler(handler)
        self._connection.check_open()
        listener = self._connection.listener
        over = keys.base(self._connection.prefix, "channel", channel)

        def hear(text: str | None) -> None:
            if text is None:
                return
            try:
                handler(codec.loads(text))
            except Exception:
                logger.exception("a subscriber to %r failed", channel)

        async def unsubscribe() -> None:
            listener.drop(over, hear)

        listener.add(over, hear)
        try:
            await listener.confirmed(over)
        except BaseException:
            listener.drop(over, hear)
            raise
        return unsubscribe

    def _desk(self, broker: str) -> _Desk:
        desk = self._desks.get(check_name("broker", broker))
        if desk is None:
            desk = self._desks[broker] = _Desk(self._connection, broker)
        return desk

    def _asked(self, broker: str) -> _Desk:
        """Return the desk, whose gatherings belong to the event loop of the connection."""
        desk = self._desk(broker)
        self._connection.check_open()
        return desk

    async def _known(self, broker: str) -> _Desk:
        """Return the desk, once others can find out that ids are claimed of this broker."""
        self._connection.check_open()
        desk = self._desk(broker)
        if not desk.is_known:
            await self._connection.command("SADD", self._brokers, broker, changes=True)
            desk.is_known = True
        return desk

    async def _held(self, id: str, consumer: str) -> Queue:
        """Return the one queue of all where the consumer has that claim of the id."""
        found = await self._connection.command("SMEMBERS", self._brokers)
        # Those that we claimed of too: a server that lost its data knows of none.
        names = {*map(keys.text, found), *self._desks}
        queues = [Queue(self._connection, name) for name in names]
        held = await asyncio.gather(*(queue.is_held_by(id, consumer) for queue in queues))
        where = [queue for queue, is_held in zip(queues, held, strict=True) if is_held]
        if not where:
            raise ClaimLost(None, id, consumer)
        if len(where) > 1:
            raise ambiguous(id, consumer)
        return where[0]


def _answer(done: int, broker: str, id: str) -> bool:
    if done < 0:
        raise ClaimLost(broker, id)
    return bool(done)


if TYPE_CHECKING:
    _awaiting: type[AsyncBroker] = AsyncRedisBroker
