"""The three ports for awaiting callers.

Meaning, units and errors are those of `oqron_sql.contract.adapters`, where each method is
described.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

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
from oqron_sql.contract.async_store import Later


class AsyncStorage(Protocol):
    """Documents under a namespace and an id."""

    def save(self, namespace: str, id: str, data: Document) -> Later[None]: ...

    def save_if_absent(self, namespace: str, id: str, data: Document) -> Later[bool]: ...

    def get(self, namespace: str, id: str) -> Later[Document | None]: ...

    def get_many(self, namespace: str, ids: Sequence[str]) -> Later[dict[str, Document]]: ...

    def list(
        self,
        namespace: str,
        filter: Filter | None = None,
        *,
        where: Sequence[Where] = (),
        order_by: OrderBy | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Later[list[Document]]: ...

    def delete(self, namespace: str, id: str) -> Later[bool]: ...

    def bulk_save(self, namespace: str, records: Sequence[tuple[str, Document]]) -> Later[None]: ...

    def bulk_delete(self, namespace: str, ids: Sequence[str]) -> Later[int]: ...

    def prune(self, namespace: str, before: datetime) -> Later[int]: ...

    def count(
        self, namespace: str, filter: Filter | None = None, *, where: Sequence[Where] = ()
    ) -> Later[int]: ...

    def increment(self, namespace: str, id: str, field: str, by: float = 1) -> Later[float]: ...

    def compare_and_set(
        self, namespace: str, id: str, expected: Mapping[str, Any], patch: Mapping[str, Any]
    ) -> Later[bool]: ...


class AsyncBroker(Protocol):
    """Ids that wait under a broker's name until somebody claims them, for a time."""

    def publish(
        self, broker: str, id: str, delay: timedelta = timedelta(0), priority: int = 0
    ) -> Later[None]: ...

    def publish_batch(self, broker: str, messages: Sequence[Message]) -> Later[None]: ...

    def claim(
        self,
        broker: str,
        consumer: str,
        limit: int,
        ttl: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Later[list[Claim]]: ...

    def claim_blocking(
        self,
        broker: str,
        consumer: str,
        ttl: timedelta,
        timeout: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Later[Claim | None]: ...

    def extend_lock(
        self, id: str, consumer: str, ttl: timedelta, broker: str | None = None
    ) -> Later[None]: ...

    def ack(self, broker: str, id: str) -> Later[bool]: ...

    def remove(self, broker: str, id: str) -> Later[bool]: ...

    def nack(
        self, broker: str, id: str, delay: timedelta = timedelta(0), priority: int | None = None
    ) -> Later[bool]: ...

    def pause(self, broker: str) -> Later[None]: ...

    def resume(self, broker: str) -> Later[None]: ...

    def is_paused(self, broker: str) -> Later[bool]: ...

    def size(self, broker: str) -> Later[int]: ...

    def counts(self, broker: str) -> Later[BrokerCounts]: ...

    def broadcast(self, channel: str, message: Any) -> Later[None]: ...

    def subscribe(self, channel: str, handler: Handler) -> Later[Callable[[], Later[None]]]: ...


class AsyncLock(Protocol):
    """Mutual exclusion by a name, for a time."""

    def acquire(self, key: str, owner: str, ttl: timedelta) -> Later[int | None]: ...

    def renew(self, key: str, owner: str, ttl: timedelta) -> Later[bool]: ...

    def release(self, key: str, owner: str) -> Later[bool]: ...

    def is_owner(self, key: str, owner: str) -> Later[bool]: ...
