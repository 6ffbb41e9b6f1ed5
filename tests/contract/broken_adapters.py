"""Adapters with one defect each, as real ones had, to see whether the kit finds it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from oqron_sql.contract.adapters import Claim, Document, Handler, Message, OrderBy, Strategy
from oqron_sql.errors import ClaimLost
from oqron_sql.memory import AsyncMemoryBroker, AsyncMemoryLock, AsyncMemoryStorage

NOW = timedelta(0)
OTHER_STEP = 0.001


class Merges(AsyncMemoryStorage):
    """Saves into the document that is there."""

    async def save(self, namespace: str, id: str, data: Document) -> None:
        old = await super().get(namespace, id)
        merged = {**old, **data} if isinstance(old, dict) and isinstance(data, dict) else data
        await super().save(namespace, id, merged)


class LooksBeforeSaving(AsyncMemoryStorage):
    """Looks whether the id is taken, then saves."""

    async def save_if_absent(self, namespace: str, id: str, data: Document) -> bool:
        absent = id not in await self.get_many(namespace, [id])
        await asyncio.sleep(OTHER_STEP)
        if absent:
            await self.save(namespace, id, data)
        return absent


class AddsInTheClient(AsyncMemoryStorage):
    """Reads, adds and writes."""

    async def increment(self, namespace: str, id: str, field: str, by: float = 1) -> float:
        document = dict(await self.get(namespace, id) or {})
        await asyncio.sleep(OTHER_STEP)
        document[field] = document.get(field, 0) + by
        await self.save(namespace, id, document)
        return float(document[field])


class AsksForContainment(AsyncMemoryStorage):
    """Compares as JSONB does with `@>`: objects and lists match in part."""

    async def compare_and_set(
        self, namespace: str, id: str, expected: Mapping[str, Any], patch: Mapping[str, Any]
    ) -> bool:
        document = await self.get(namespace, id)
        if not isinstance(document, dict) or not _contains(document, dict(expected)):
            return False
        return await super().compare_and_set(namespace, id, {}, patch)


class EmptiesLists(AsyncMemoryStorage):
    """Lets a scripting language decode and encode the document, whose empty tables are objects."""

    async def increment(self, namespace: str, id: str, field: str, by: float = 1) -> float:
        total = await super().increment(namespace, id, field, by)
        document = await self.get(namespace, id) or {}
        changed = {key: {} if value == [] else value for key, value in document.items()}
        await self.save(namespace, id, changed)
        return total


class SortsAsText(AsyncMemoryStorage):
    """Orders numbers as a database orders what it extracted as text."""

    async def list(self, namespace: str, *args: Any, **options: Any) -> list[Document]:
        order: OrderBy | None = options.get("order_by")
        found = await super().list(namespace, *args, **options)
        if order is None:
            return found
        return sorted(found, key=lambda each: json.dumps(each.get(order.field), default=str))


class ShiftsPages(AsyncMemoryStorage):
    """Cuts the page first and orders it afterwards."""

    async def list(self, namespace: str, *args: Any, **options: Any) -> list[Document]:
        order: OrderBy | None = options.pop("order_by", None)
        found = await super().list(namespace, *args, **options)
        if order is None:
            return found
        reverse = order.direction == "desc"
        return sorted(found, key=lambda each: each.get(order.field, 0), reverse=reverse)


class LeavesTiesOpen(AsyncMemoryStorage):
    """Lets equals come in whatever order suits the page."""

    async def list(self, namespace: str, *args: Any, **options: Any) -> list[Document]:
        limit, offset = options.pop("limit", None), options.pop("offset", 0)
        found = await super().list(namespace, *args, **options)
        if offset % 4:
            found.reverse()
        return found[offset:][:limit]


class CapsLists(AsyncMemoryStorage):
    """Returns a thousand at most, whatever is asked for."""

    async def list(self, namespace: str, *args: Any, **options: Any) -> list[Document]:
        return (await super().list(namespace, *args, **options))[:1000]


class PrunesOneStep(AsyncMemoryStorage):
    """Deletes one batch, and takes that for all."""

    async def prune(self, namespace: str, before: datetime) -> int:
        rows = self.data.read(namespace)
        old = [each for each, row in rows.items() if row.record_time < before]
        return await self.bulk_delete(namespace, old[:500])


class KeepsTimes(AsyncMemoryStorage):
    """Leaves the record time alone when a field changes that states it."""

    async def increment(self, namespace: str, id: str, field: str, by: float = 1) -> float:
        before = self.data.read(namespace).get(id)
        time = before and before.record_time
        total = await super().increment(namespace, id, field, by)
        if time:
            self.data.read(namespace)[id].record_time = time
        return total


class ForgetsClaims(AsyncMemoryBroker):
    """Has a claimed id nowhere but in the claim, which ends."""

    async def claim(
        self,
        broker: str,
        consumer: str,
        limit: int,
        ttl: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> list[Claim]:
        claimed = await super().claim(broker, consumer, limit, ttl, strategy)
        for each in claimed:
            if each.deliveries > 1:
                await self.remove(broker, each)
        return [each for each in claimed if each.deliveries == 1]


class Reexposes(AsyncMemoryBroker):
    """Takes the claim away when its id is published."""

    async def publish(
        self, broker: str, id: str, delay: timedelta = NOW, priority: int = 0
    ) -> None:
        await self.remove(broker, id)
        await super().publish(broker, id, delay, priority)


class LetsAnybodyAck(AsyncMemoryBroker):
    """Does not look at the claim."""

    async def ack(self, broker: str, id: str) -> bool:
        return await super().ack(broker, str.__str__(id))


class SplitsPriorities(AsyncMemoryBroker):
    """Keeps those with a priority where only one strategy looks."""

    async def publish(
        self, broker: str, id: str, delay: timedelta = NOW, priority: int = 0
    ) -> None:
        await super().publish(f"{broker}!" if priority else broker, id, delay, priority)

    async def claim(
        self,
        broker: str,
        consumer: str,
        limit: int,
        ttl: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> list[Claim]:
        name = f"{broker}!" if strategy == Strategy.PRIORITY else broker
        return await super().claim(name, consumer, limit, ttl, strategy)


class ReturnsTableOrder(AsyncMemoryBroker):
    """Claims the right ids, and returns them as the UPDATE did."""

    async def claim(
        self,
        broker: str,
        consumer: str,
        limit: int,
        ttl: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> list[Claim]:
        return sorted(await super().claim(broker, consumer, limit, ttl, strategy))


class ClaimsInTwoSteps(AsyncMemoryBroker):
    """Takes ids out, then writes down who has them."""

    async def claim(
        self,
        broker: str,
        consumer: str,
        limit: int,
        ttl: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> list[Claim]:
        claimed = await super().claim(broker, consumer, limit, ttl, strategy)
        for each in claimed:
            await self.nack(broker, each)
        await asyncio.sleep(OTHER_STEP)
        await super().claim(broker, consumer, limit, ttl, strategy)
        return [Claim(each, each.token) for each in claimed]


class CreatesWhatIsHandedBack(AsyncMemoryBroker):
    """Puts back whatever it is told to."""

    async def nack(
        self, broker: str, id: str, delay: timedelta = NOW, priority: int | None = None
    ) -> bool:
        if not await super().nack(broker, id, delay, priority):
            await self.publish(broker, id, delay, priority or 0)
        return True


class HandsBackToTheEnd(AsyncMemoryBroker):
    """Publishes anew what is handed back."""

    async def nack(
        self, broker: str, id: str, delay: timedelta = NOW, priority: int | None = None
    ) -> bool:
        if not await super().nack(broker, id, delay, priority):
            return False
        await self.publish(broker, id, delay, priority or 0)
        return True


class PausesByAnId(AsyncMemoryBroker):
    """Has a row among the ids that means a pause."""

    async def publish(
        self, broker: str, id: str, delay: timedelta = NOW, priority: int = 0
    ) -> None:
        await super().publish(broker, id, delay, priority)
        if id == "__paused__":
            await self.pause(broker)


class PublishesOneByOne(AsyncMemoryBroker):
    """Makes a batch of single steps."""

    async def publish_batch(self, broker: str, messages: Sequence[Message]) -> None:
        for each in messages:
            await self.publish(broker, each.id, each.delay, each.priority)


class WaitsWholeSeconds(AsyncMemoryBroker):
    """Asks a server that knows no fractions of a second."""

    async def claim_blocking(
        self,
        broker: str,
        consumer: str,
        ttl: timedelta,
        timeout: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Claim | None:
        whole = timedelta(seconds=-(-timeout.total_seconds() // 1))
        return await super().claim_blocking(broker, consumer, ttl, whole, strategy)


class TriesAgainOnErrors(AsyncMemoryBroker):
    """Calls a handler that failed once more."""

    async def subscribe(
        self, channel: str, handler: Handler
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        def hear(message: Any) -> None:
            try:
                handler(message)
            except LookupError:
                handler(message)

        return await super().subscribe(channel, hear)


class ExtendsWhatIsOver(AsyncMemoryBroker):
    """Extends a claim that nobody else has taken yet."""

    async def extend_lock(
        self, id: str, consumer: str, ttl: timedelta, broker: str | None = None
    ) -> None:
        try:
            await super().extend_lock(id, consumer, ttl, broker)
        except ClaimLost:
            if broker is None or not await self.claim(broker, consumer, 1, ttl):
                raise


class RenewsWhatIsOver(AsyncMemoryLock):
    """Renews a lock that nobody else has taken yet."""

    async def renew(self, key: str, owner: str, ttl: timedelta) -> bool:
        return await super().renew(key, owner, ttl) or bool(await self.acquire(key, owner, ttl))


class LooksBeforeTaking(AsyncMemoryLock):
    """Looks whether somebody has the lock, then takes it."""

    holders: dict[str, str] = {}  # noqa: RUF012 - shared, as a server's data are

    async def acquire(self, key: str, owner: str, ttl: timedelta) -> int | None:
        free = await super().acquire(f"{key}?", owner, ttl)
        await asyncio.sleep(OTHER_STEP)
        await super().release(f"{key}?", owner)
        return free and await super().acquire(f"{key}/{owner}", owner, ttl)


class NumbersOwners(AsyncMemoryLock):
    """Gives each owner a number, and the same one whenever it comes back."""

    async def acquire(self, key: str, owner: str, ttl: timedelta) -> int | None:
        return await super().acquire(key, owner, ttl) and 1 + hash(owner) % 1000


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and _contains(whole[key], part[key]) for key in part)
    if isinstance(whole, list) and isinstance(part, list):
        return all(any(_contains(each, one) for each in whole) for one in part)
    return bool(whole == part)
