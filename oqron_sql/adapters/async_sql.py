"""The adapters on SQL for callers that await: the bodies of the blocking ones, carried over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from oqron_sql.adapters.ports import OnStore, Options, indexed
from oqron_sql.adapters.subscribing import Subscription, Subscriptions
from oqron_sql.adapters.waiting import waiting
from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.binding import Body, awaiting, in_awaited_steps
from oqron_sql.contract.adapters import Claim, Handler, Strategy
from oqron_sql.contract.asking import check_handler
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.contract.checks import check_duration, check_name
from oqron_sql.contract.topics import topic
from oqron_sql.engines import AwaitingBind
from oqron_sql.errors import StoreClosed, StoreUnavailable
from oqron_sql.queries import (
    broadcasting,
    brokers,
    claiming,
    documents,
    holding,
    listing,
    locks,
    pruning,
    publishing,
)
from oqron_sql.queries.fields import declare
from oqron_sql.queries.tx import Tx

logger = logging.getLogger("oqron_sql")
R = TypeVar("R")


class _Port(OnStore[AsyncSQLStore, AwaitingBind]):
    made = AsyncSQLStore

    async def run(self, body: Body[R], /, *, repeatable: bool = True) -> R:
        """Run a body of SQL in one operation; for extensions."""
        return await self.store.run(body, repeatable=repeatable)

    async def connect(self) -> None:
        """Check the server and bring the tables to head; idempotent."""
        if self._owns:
            await self.store.connect()

    async def close(self) -> None:
        """Let go of everything that was opened here; idempotent."""
        if self._owns:
            await self.store.disconnect()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncSQLStorage(_Port):
    """A storage on a SQL database, for callers that await.

    `indexes` names fields, per namespace, that are often filtered or ordered by: these are found by
    an index. Connecting writes them down for documents that were saved without.

    Raises:
        InvalidInput: a name in `indexes` is refused.
    """

    def __init__(
        self,
        bind: AwaitingBind | AsyncSQLStore | None = None,
        *,
        indexes: Mapping[str, Sequence[str]] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._declared = declare(indexes)
        super().__init__(bind, **options)

    async def run(self, body: Body[R], /, *, repeatable: bool = True) -> R:
        """Run a body of SQL in one operation; for extensions."""
        return await super().run(indexed(body, self._declared), repeatable=repeatable)

    async def connect(self) -> None:
        """Check the server, bring the tables to head and index what is not; idempotent."""
        await super().connect()
        await self.index()

    async def index(self) -> None:
        """Write down the declared fields of documents that were saved without them."""
        for namespace in self._declared:
            await in_awaited_steps(self, partial(documents.index_step, namespace=namespace))

    save = awaiting(documents.save)
    save_if_absent = awaiting(documents.save_if_absent, repeatable=False)
    get = awaiting(documents.get)
    get_many = awaiting(documents.get_many)
    list = awaiting(listing.list_documents)
    delete = awaiting(documents.delete_document)
    bulk_save = awaiting(documents.bulk_save)
    bulk_delete = awaiting(documents.bulk_delete)
    count = awaiting(listing.count)
    increment = awaiting(documents.increment, repeatable=False)
    compare_and_set = awaiting(documents.compare_and_set, repeatable=False)

    async def prune(self, namespace: str, before: datetime) -> int:
        """Delete the documents whose record time is earlier than `before`; return how many."""
        step = partial(pruning.prune_step, namespace=namespace, before=before)
        return await in_awaited_steps(self, step, most=pruning.BATCH)


class AsyncSQLBroker(_Port):
    """A broker on a SQL database, for callers that await; otherwise as `SQLBroker`.

    Subscribers are called on the loop on which they subscribed.
    """

    def __init__(
        self, bind: AwaitingBind | AsyncSQLStore | None = None, **options: Unpack[Options]
    ) -> None:
        super().__init__(bind, **options)
        self._subscriptions = Subscriptions()
        self._reading: asyncio.Task[None] | None = None

    publish = awaiting(publishing.publish)
    publish_batch = awaiting(publishing.publish_batch)
    extend_lock = awaiting(holding.extend_lock)
    ack = awaiting(holding.ack)
    remove = awaiting(holding.remove)
    nack = awaiting(holding.nack)
    pause = awaiting(brokers.pause)
    resume = awaiting(brokers.resume)
    is_paused = awaiting(brokers.is_paused)
    size = awaiting(brokers.size)
    counts = awaiting(brokers.counts)

    async def claim(
        self,
        broker: str,
        consumer: str,
        limit: int,
        ttl: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> list[Claim]:
        """Claim up to `limit` ids, in the order of `strategy`; who is cancelled claims nothing."""
        claims: list[Claim] = []

        def claim(tx: Tx) -> list[Claim]:
            claims[:] = claiming.claim(tx, broker, consumer, limit, ttl, strategy)
            return claims

        try:
            return await self.run(claim, repeatable=False)
        except asyncio.CancelledError:
            # It was seen through, and nobody learned of it. In a transaction, that is undone.
            if claims and not self.store.joined:
                await self.run(partial(claiming.give_back, broker=broker, claims=claims))
            raise

    async def claim_blocking(
        self,
        broker: str,
        consumer: str,
        ttl: timedelta,
        timeout: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Claim | None:
        """Claim one id, waiting for it up to `timeout`; one that is cancelled claims nothing.

        Raises:
            ConfigurationError: this is bound to a transaction.
        """
        self._check_free()
        check_duration("timeout", timeout)
        notifier = self.store.notifier
        with notifier.async_bell(topic("broker", check_name("broker", broker))) as bell:
            steps = waiting(timeout, notifier.look_every)
            answer: Any = None
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as end:
                    found: Claim | None = end.value
                    return found
                if step == "claim":
                    answer = await self.claim(broker, consumer, 1, ttl, strategy)
                elif step == "look":
                    answer = await self.run(lambda tx: claiming.look(tx, broker))
                else:
                    await bell.wait(step)
                    answer = None

    async def broadcast(self, channel: str, message: Any) -> None:
        """Send `message` to whoever subscribes to the channel now."""
        await self.run(lambda tx: broadcasting.broadcast(tx, channel, message))
        if self._is_time_to_sweep():
            with contextlib.suppress(StoreUnavailable):
                await self.run(broadcasting.sweep_step)

    async def subscribe(
        self, channel: str, handler: Handler
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        """Call `handler` with each message, on this loop; return what ends that.

        Raises:
            ConfigurationError: this is bound to a transaction.
        """
        self._check_free()
        check_name("channel", channel)
        check_handler(handler)
        since = await self.run(broadcasting.newest)
        subscription = Subscription(channel, since, handler, asyncio.get_running_loop())
        self._subscriptions.add(subscription)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())

        async def unsubscribe() -> None:
            self._subscriptions.remove(subscription)

        return unsubscribe

    async def close(self) -> None:
        """End the subscriptions, and let go of everything that was opened here; idempotent."""
        if self.store.joined:  # they are those of the broker that it was made from
            return
        self._subscriptions.clear()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
            self._reading = None
        await super().close()

    async def _read(self) -> None:
        notifier = self.store.notifier
        with notifier.async_bell(broadcasting.BROADCASTS) as bell:
            while (question := self._subscriptions.question()) is not None:
                try:
                    rows = await self.run(partial(broadcasting.since, question=question))
                except StoreClosed:
                    self._subscriptions.clear()
                except Exception:
                    logger.warning("broadcasts could not be read", exc_info=True)
                else:
                    if self._subscriptions.deliver(rows):
                        continue
                await bell.wait(notifier.look_every.total_seconds())


class AsyncSQLLock(_Port):
    """Locks on a SQL database, for callers that await."""

    async def acquire(self, key: str, owner: str, ttl: timedelta) -> int | None:
        """Take the lock, or let it last longer; return its fencing number, or None."""
        taken = await self.run(lambda tx: locks.acquire(tx, key, owner, ttl))
        if taken.new and self._is_time_to_sweep():
            with contextlib.suppress(StoreUnavailable):
                await self.run(locks.sweep_step)
        return taken.fence

    renew = awaiting(locks.renew)
    release = awaiting(locks.release)
    is_owner = awaiting(locks.is_owner)


class AsyncSQLAdapters(_Port):
    """The three adapters on one engine and pool, and the transactions they have in common."""

    def __init__(
        self,
        bind: AwaitingBind | AsyncSQLStore | None = None,
        *,
        indexes: Mapping[str, Sequence[str]] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(bind, **options)
        self.storage = AsyncSQLStorage(self.store, indexes=indexes)
        self.broker = AsyncSQLBroker(self.store)
        self.lock = AsyncSQLLock(self.store)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Self]:
        """Enter a transaction of what is done with the adapters it gives: all of it or nothing.

        It is committed at the end of the block, and undone if an error leaves it.

        Raises:
            StoreUnavailable: it cannot go on or was not committed; nothing is tried again here.
        """
        async with self.store.transaction() as store:
            yield self._on(store)

    async def connect(self) -> None:
        """Check the server, bring the tables to head and index what is not; idempotent."""
        await super().connect()
        await self.storage.index()

    async def close(self) -> None:
        """Let go of everything that was opened here; idempotent."""
        await self.broker.close()
        await super().close()

    def _on(self, store: AsyncSQLStore) -> Self:
        twin = super()._on(store)
        twin.storage = self.storage._on(store)
        twin.broker, twin.lock = self.broker._on(store), self.lock._on(store)
        return twin


if TYPE_CHECKING:
    _storage: type[AsyncStorage] = AsyncSQLStorage
    _broker: type[AsyncBroker] = AsyncSQLBroker
    _lock: type[AsyncLock] = AsyncSQLLock
