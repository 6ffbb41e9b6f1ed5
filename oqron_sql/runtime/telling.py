"""Telling what was done, after it was: nothing that fails here undoes it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, TypeVar

from oqron_sql.contract import AsyncStore, EventType, Store, StoreEvent
from oqron_sql.contract.abilities import Joining
from oqron_sql.errors import ConfigurationError

logger = logging.getLogger("oqron_sql")
S = TypeVar("S")


async def tell(store: AsyncStore, events: Iterable[StoreEvent]) -> None:
    """Publish `events`; a failure is logged."""
    for event in events:
        try:
            await store.publish(event)
        except Exception:
            logger.warning("could not tell of %s", event.type, exc_info=True)


async def announce(
    store: AsyncStore, queue: str, kind: EventType, job_id: str | None = None, data: Any = None
) -> None:
    """Publish an event of a queue, if anybody listens; a failure is logged."""
    if store.has_subscribers(queue):
        await tell(store, [StoreEvent(type=kind, queue_name=queue, job_id=job_id, data=data)])


def announce_blocking(
    store: Store, queue: str, kind: EventType, job_id: str | None = None, data: Any = None
) -> None:
    """Publish an event of a queue, if anybody listens; a failure is logged."""
    if store.has_subscribers(queue):
        tell_blocking(store, [StoreEvent(type=kind, queue_name=queue, job_id=job_id, data=data)])


def tell_blocking(store: Store, events: Iterable[StoreEvent]) -> None:
    """Publish `events`; a failure is logged."""
    for event in events:
        try:
            store.publish(event)
        except Exception:
            logger.warning("could not tell of %s", event.type, exc_info=True)


def joined(store: S, session: Any) -> S:
    """Return the store, in the transaction of the host's session if there is one.

    Raises:
        ConfigurationError: the store cannot take part in one.
    """
    if session is None:
        return store
    if not isinstance(store, Joining):
        raise ConfigurationError(
            f"a {type(store).__name__} cannot join a transaction; leave the session out"
        )
    twin: S = store.using(session)
    return twin
