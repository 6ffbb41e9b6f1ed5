"""Adapters for one project and environment: what others do with the same names never shows."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from oqron_sql.contract.adapters import (
    BrokerCounts,
    Claim,
    Document,
    Filter,
    Handler,
    Message,
    OrderBy,
    Strategy,
    Where,
)
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.contract.async_store import Later
from oqron_sql.contract.checks import NAME_LENGTH, check_name
from oqron_sql.errors import ClaimLost, InvalidName

PROJECT = "oqronkit"
ENVIRONMENT = "development"
NOW = timedelta(0)


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """A project and an environment, and how names are written that belong to them.

    A name is `oqron:{project}:{environment}:{name}`, each part with its ":" and "%" written as
    "%3A" and "%25", so that no two of them are ever the same.

    Raises:
        InvalidName: `project` or `environment` is not a name.
    """

    project: str = PROJECT
    environment: str = ENVIRONMENT

    def __post_init__(self) -> None:
        check_name("project", self.project)
        check_name("environment", self.environment)
        self.name("name", "x")

    def name(self, field: str, value: str) -> str:
        """Return the name as others see it.

        Raises:
            InvalidName: it is not a name, or too long to be one together with the scope.
        """
        parts = (self.project, self.environment, check_name(field, value))
        made = ":".join(["oqron", *map(_escaped, parts)])
        if len(made) > NAME_LENGTH:
            raise InvalidName(
                field, value, f"is {len(made)} characters long as {made[:40]}…, and at most "
                f"{NAME_LENGTH} can be stored"
            )  # fmt: skip
        return made


class IsolatedStorage:
    """A storage whose namespaces belong to one scope."""

    def __init__(self, base: AsyncStorage, scope: Scope) -> None:
        self.base, self.scope = base, scope

    def _in(self, namespace: str) -> str:
        return self.scope.name("namespace", namespace)

    async def save(self, namespace: str, id: str, data: Document) -> None:
        """Save the document."""
        await self.base.save(self._in(namespace), id, data)

    async def save_if_absent(self, namespace: str, id: str, data: Document) -> bool:
        """Save the document unless the id is taken."""
        return await self.base.save_if_absent(self._in(namespace), id, data)

    async def get(self, namespace: str, id: str) -> Document | None:
        """Return a copy of the document, or None."""
        return await self.base.get(self._in(namespace), id)

    async def get_many(self, namespace: str, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents that exist."""
        return await self.base.get_many(self._in(namespace), ids)

    async def delete(self, namespace: str, id: str) -> bool:
        """Delete the document."""
        return await self.base.delete(self._in(namespace), id)

    async def bulk_save(self, namespace: str, records: Sequence[tuple[str, Document]]) -> None:
        """Save all or none."""
        await self.base.bulk_save(self._in(namespace), records)

    async def bulk_delete(self, namespace: str, ids: Sequence[str]) -> int:
        """Delete those that exist."""
        return await self.base.bulk_delete(self._in(namespace), ids)

    async def prune(self, namespace: str, before: datetime) -> int:
        """Delete what is older."""
        return await self.base.prune(self._in(namespace), before)

    async def count(
        self, namespace: str, filter: Filter | None = None, *, where: Sequence[Where] = ()
    ) -> int:
        """Return how many match."""
        return await self.base.count(self._in(namespace), filter, where=where)

    async def increment(self, namespace: str, id: str, field: str, by: float = 1) -> float:
        """Add to a number in a field."""
        return await self.base.increment(self._in(namespace), id, field, by)

    async def compare_and_set(
        self, namespace: str, id: str, expected: Mapping[str, Any], patch: Mapping[str, Any]
    ) -> bool:
        """Write the fields of `patch` if all of `expected` are equal."""
        return await self.base.compare_and_set(self._in(namespace), id, expected, patch)

    async def list(
        self,
        namespace: str,
        filter: Filter | None = None,
        *,
        where: Sequence[Where] = (),
        order_by: OrderBy | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Document]:
        """Return those that match."""
        return await self.base.list(
            self._in(namespace), filter, where=where, order_by=order_by, limit=limit, offset=offset
        )


class IsolatedBroker:
    """A broker whose names, channels and consumers belong to one scope.

    Consumers too: an extension that names no broker finds nobody else's claims.
    """

    def __init__(self, base: AsyncBroker, scope: Scope) -> None:
        self.base, self.scope = base, scope

    def _in(self, broker: str) -> str:
        return self.scope.name("broker", broker)

    async def publish(
        self, broker: str, id: str, delay: timedelta = NOW, priority: int = 0
    ) -> None:
        """Let the id wait."""
        await self.base.publish(self._in(broker), id, delay, priority)

    async def publish_batch(self, broker: str, messages: Sequence[Message]) -> None:
        """Publish all or none."""
        await self.base.publish_batch(self._in(broker), messages)

    async def claim(
        self,
        broker: str,
        consumer: str,
        limit: int,
        ttl: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> list[Claim]:
        """Claim up to `limit` ids."""
        consumer = self.scope.name("consumer", consumer)
        return await self.base.claim(self._in(broker), consumer, limit, ttl, strategy)

    async def claim_blocking(
        self,
        broker: str,
        consumer: str,
        ttl: timedelta,
        timeout: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Claim | None:
        """Claim one id, waiting for it."""
        consumer = self.scope.name("consumer", consumer)
        return await self.base.claim_blocking(self._in(broker), consumer, ttl, timeout, strategy)

    async def extend_lock(
        self, id: str, consumer: str, ttl: timedelta, broker: str | None = None
    ) -> None:
        """Let the claim end later."""
        name = None if broker is None else self._in(broker)
        with _as_asked(broker, id, consumer):
            await self.base.extend_lock(id, self.scope.name("consumer", consumer), ttl, name)

    async def ack(self, broker: str, id: str) -> bool:
        """Take the id out."""
        with _as_asked(broker, id):
            return await self.base.ack(self._in(broker), id)

    async def remove(self, broker: str, id: str) -> bool:
        """Take the id out, whoever claimed it."""
        return await self.base.remove(self._in(broker), id)

    async def nack(
        self, broker: str, id: str, delay: timedelta = NOW, priority: int | None = None
    ) -> bool:
        """Hand a claimed id back."""
        with _as_asked(broker, id):
            return await self.base.nack(self._in(broker), id, delay, priority)

    async def pause(self, broker: str) -> None:
        """Hand out nothing."""
        await self.base.pause(self._in(broker))

    async def resume(self, broker: str) -> None:
        """Hand out again."""
        await self.base.resume(self._in(broker))

    async def is_paused(self, broker: str) -> bool:
        """Whether the broker is paused."""
        return await self.base.is_paused(self._in(broker))

    async def size(self, broker: str) -> int:
        """Return how many ids there are."""
        return await self.base.size(self._in(broker))

    async def counts(self, broker: str) -> BrokerCounts:
        """Return how many ids there are per state."""
        return await self.base.counts(self._in(broker))

    async def broadcast(self, channel: str, message: Any) -> None:
        """Send `message` to whoever subscribes within the scope."""
        await self.base.broadcast(self.scope.name("channel", channel), message)

    async def subscribe(self, channel: str, handler: Handler) -> Callable[[], Later[None]]:
        """Call `handler` with each message that is sent within the scope."""
        return await self.base.subscribe(self.scope.name("channel", channel), handler)


class IsolatedLock:
    """A lock whose keys belong to one scope."""

    def __init__(self, base: AsyncLock, scope: Scope) -> None:
        self.base, self.scope = base, scope

    def _in(self, key: str) -> str:
        return self.scope.name("key", key)

    async def acquire(self, key: str, owner: str, ttl: timedelta) -> int | None:
        """Take the lock."""
        return await self.base.acquire(self._in(key), owner, ttl)

    async def renew(self, key: str, owner: str, ttl: timedelta) -> bool:
        """Let the lock last."""
        return await self.base.renew(self._in(key), owner, ttl)

    async def release(self, key: str, owner: str) -> bool:
        """Give the lock up."""
        return await self.base.release(self._in(key), owner)

    async def is_owner(self, key: str, owner: str) -> bool:
        """Whether `owner` has the lock now."""
        return await self.base.is_owner(self._in(key), owner)


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace(":", "%3A")


@contextlib.contextmanager
def _as_asked(broker: str | None, id: str, consumer: str | None = None) -> Iterator[None]:
    """Tell of a lost claim by the names that the caller uses."""
    try:
        yield
    except ClaimLost as lost:
        raise ClaimLost(broker, id, consumer) from lost.__cause__


if TYPE_CHECKING:
    _storage: type[AsyncStorage] = IsolatedStorage
    _broker: type[AsyncBroker] = IsolatedBroker
    _lock: type[AsyncLock] = IsolatedLock
