"""The adapters on SQL for callers that block: one line per method, one body each."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from oqron_sql.adapters.ports import OnStore, Options, indexed
from oqron_sql.adapters.subscribing import Subscription, Subscriptions
from oqron_sql.adapters.waiting import waiting
from oqron_sql.binding import Body, blocking, in_steps
from oqron_sql.contract.adapters import Broker, Claim, Handler, Lock, Storage, Strategy
from oqron_sql.contract.asking import check_handler
from oqron_sql.contract.checks import check_duration, check_name
from oqron_sql.contract.topics import topic
from oqron_sql.engines import BlockingBind
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
from oqron_sql.store import SQLStore

logger = logging.getLogger("oqron_sql")
R = TypeVar("R")


class _Port(OnStore[SQLStore, BlockingBind]):
    made = SQLStore

    def run(self, body: Body[R], /, *, repeatable: bool = True) -> R:
        """Run a body of SQL in one operation; for extensions."""
        return self.store.run(body, repeatable=repeatable)

    def connect(self) -> None:
        """Check the server and bring the tables to head; idempotent."""
        if self._owns:
            self.store.connect()

    def close(self) -> None:
        """Let go of everything that was opened here; idempotent."""
        if self._owns:
            self.store.disconnect()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SQLStorage(_Port):
    """A storage on a SQL database, for callers that block.

    `indexes` names fields, per namespace, that are often filtered or ordered by: these are found by
    an index. Connecting writes them down for documents that were saved without.

    Raises:
        InvalidInput: a name in `indexes` is refused.
    """

    def __init__(
        self,
        bind: BlockingBind | SQLStore | None = None,
        *,
        indexes: Mapping[str, Sequence[str]] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._declared = declare(indexes)
        super().__init__(bind, **options)

    def run(self, body: Body[R], /, *, repeatable: bool = True) -> R:
        """Run a body of SQL in one operation; for extensions."""
        return super().run(indexed(body, self._declared), repeatable=repeatable)

    def connect(self) -> None:
        """Check the server, bring the tables to head and index what is not; idempotent."""
        super().connect()
        self.index()

    def index(self) -> None:
        """Write down the declared fields of documents that were saved without them."""
        for namespace in self._declared:
            in_steps(self, partial(documents.index_step, namespace=namespace))

    save = blocking(documents.save)
    save_if_absent = blocking(documents.save_if_absent, repeatable=False)
    get = blocking(documents.get)
    get_many = blocking(documents.get_many)
    list = blocking(listing.list_documents)
    delete = blocking(documents.delete_document)
    bulk_save = blocking(documents.bulk_save)
    bulk_delete = blocking(documents.bulk_delete)
    count = blocking(listing.count)
    increment = blocking(documents.increment, repeatable=False)
    compare_and_set = blocking(documents.compare_and_set, repeatable=False)

    def prune(self, namespace: str, before: datetime) -> int:
        """Delete the documents whose record time is earlier than `before`; return how many."""
        step = partial(pruning.prune_step, namespace=namespace, before=before)
        return in_steps(self, step, most=pruning.BATCH)


class SQLBroker(_Port):
    """A broker on a SQL database, for callers that block.

    Whoever waits is woken at once by what is committed in this process, on PostgreSQL and SQLite in
    any process; elsewhere he looks once a second. Subscribers are called in a thread of their own.
    """

    def __init__(
        self, bind: BlockingBind | SQLStore | None = None, **options: Unpack[Options]
    ) -> None:
        super().__init__(bind, **options)
        self._subscriptions = Subscriptions()
        self._reading: threading.Thread | None = None
        self._starting = threading.Lock()

    publish = blocking(publishing.publish)
    publish_batch = blocking(publishing.publish_batch)
    claim = blocking(claiming.claim, repeatable=False)
    extend_lock = blocking(holding.extend_lock)
    ack = blocking(holding.ack)
    remove = blocking(holding.remove)
    nack = blocking(holding.nack)
    pause = blocking(brokers.pause)
    resume = blocking(brokers.resume)
    is_paused = blocking(brokers.is_paused)
    size = blocking(brokers.size)
    counts = blocking(brokers.counts)

    def claim_blocking(
        self,
        broker: str,
        consumer: str,
        ttl: timedelta,
        timeout: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Claim | None:
        """Claim one id, waiting for it up to `timeout`.

        Raises:
            ConfigurationError: this is bound to a transaction.
        """
        self._check_free()
        check_duration("timeout", timeout)
        notifier = self.store.notifier
        with notifier.bell(topic("broker", check_name("broker", broker))) as bell:
            steps = waiting(timeout, notifier.look_every)
            answer: Any = None
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as end:
                    found: Claim | None = end.value
                    return found
                if step == "claim":
                    answer = self.claim(broker, consumer, 1, ttl, strategy)
                elif step == "look":
                    answer = self.run(lambda tx: claiming.look(tx, broker))
                else:
                    bell.wait(step)
                    answer = None

    def broadcast(self, channel: str, message: Any) -> None:
        """Send `message` to whoever subscribes to the channel now."""
        self.run(lambda tx: broadcasting.broadcast(tx, channel, message))
        if self._is_time_to_sweep():
            with contextlib.suppress(StoreUnavailable):
                self.run(broadcasting.sweep_step)

    def subscribe(self, channel: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` with each message, in a thread of the broker's; return what ends that.

        Raises:
            ConfigurationError: this is bound to a transaction.
        """
        self._check_free()
        check_name("channel", channel)
        check_handler(handler)
        subscription = Subscription(channel, self.run(broadcasting.newest), handler, None)
        self._subscriptions.add(subscription)
        with self._starting:
            if self._reading is None:
                self._reading = threading.Thread(target=self._read, name="oqron_sql", daemon=True)
                self._reading.start()
        return partial(self._subscriptions.remove, subscription)

    def close(self) -> None:
        """End the subscriptions, and let go of everything that was opened here; idempotent."""
        if self.store.joined:  # they are those of the broker that it was made from
            return
        self._subscriptions.clear()
        self.store.notifier.ring_here(broadcasting.BROADCASTS)
        with self._starting:
            reading = self._reading
        if reading is not None and reading is not threading.current_thread():
            reading.join()
        super().close()

    def _read(self) -> None:
        notifier = self.store.notifier
        with notifier.bell(broadcasting.BROADCASTS) as bell:
            while True:
                with self._starting:
                    question = self._subscriptions.question()
                    if question is None:
                        self._reading = None
                        return
                try:
                    rows = self.run(partial(broadcasting.since, question=question))
                except StoreClosed:
                    self._subscriptions.clear()
                except Exception:
                    logger.warning("broadcasts could not be read", exc_info=True)
                else:
                    if self._subscriptions.deliver(rows):
                        continue
                bell.wait(notifier.look_every.total_seconds())


class SQLLock(_Port):
    """Locks on a SQL database, for callers that block."""

    def acquire(self, key: str, owner: str, ttl: timedelta) -> int | None:
        """Take the lock, or let it last longer; return its fencing number, or None."""
        taken = self.run(lambda tx: locks.acquire(tx, key, owner, ttl))
        if taken.new and self._is_time_to_sweep():
            with contextlib.suppress(StoreUnavailable):
                self.run(locks.sweep_step)
        return taken.fence

    renew = blocking(locks.renew)
    release = blocking(locks.release)
    is_owner = blocking(locks.is_owner)


class SQLAdapters(_Port):
    """The three adapters on one engine and pool, and the transactions they have in common."""

    def __init__(
        self,
        bind: BlockingBind | SQLStore | None = None,
        *,
        indexes: Mapping[str, Sequence[str]] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(bind, **options)
        self.storage = SQLStorage(self.store, indexes=indexes)
        self.broker = SQLBroker(self.store)
        self.lock = SQLLock(self.store)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Self]:
        """Enter a transaction of what is done with the adapters it gives: all of it or nothing.

        It is committed at the end of the block, and undone if an error leaves it.

        Raises:
            StoreUnavailable: it cannot go on or was not committed; nothing is tried again here.
        """
        with self.store.transaction() as store:
            yield self._on(store)

    def connect(self) -> None:
        """Check the server, bring the tables to head and index what is not; idempotent."""
        super().connect()
        self.storage.index()

    def close(self) -> None:
        """Let go of everything that was opened here; idempotent."""
        self.broker.close()
        super().close()

    def _on(self, store: SQLStore) -> Self:
        twin = super()._on(store)
        twin.storage = self.storage._on(store)
        twin.broker, twin.lock = self.broker._on(store), self.lock._on(store)
        return twin


if TYPE_CHECKING:
    _storage: type[Storage] = SQLStorage
    _broker: type[Broker] = SQLBroker
    _lock: type[Lock] = SQLLock
