"""What the blocking and the awaiting store have in common."""

from __future__ import annotations

import dataclasses
import os
import random
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Self

from sqlalchemy.exc import DBAPIError

from oqron_sql import migrate
from oqron_sql.contract.checks import check_count, check_name
from oqron_sql.contract.clock import Clock
from oqron_sql.contract.events import Callback, ErrorHandler, Subscribers
from oqron_sql.contract.model import Metrics
from oqron_sql.engines import (
    Source,
)
from oqron_sql.errors import StoreUnavailable
from oqron_sql.migrate import check_mode
from oqron_sql.notify import Notifier, QueueWakeup
from oqron_sql.queries.tx import Settings, Tx
from oqron_sql.schema.tables import tables
from oqron_sql.shell import NO_LONGER, NOT_YET, Shell
from oqron_sql.transaction import Transaction

SHARDS = 16
_stores: weakref.WeakSet[BaseStore] = weakref.WeakSet()


class BaseStore:
    """What both shells are made of."""

    def __init__(
        self,
        source: Source,
        *,
        prefix: str,
        schema: str | None,
        migrate: migrate.Mode,
        clock: Clock | None,
        metrics: Metrics | None,
        max_payload: int,
        on_event_error: ErrorHandler | None,
        push: bool,
    ) -> None:
        check_mode(migrate)
        check_count("max_payload", max_payload, least=1)
        # Behind a pooler that lends a connection for a transaction, one can tell, but not listen.
        notifier = Notifier(
            source, f"{schema or ''}.{prefix}", push=push, listen=source.pooler != "transaction"
        )
        settings = Settings(
            tables=tables(prefix, schema),
            clock=clock or Clock(),
            metrics=metrics,
            max_payload=max_payload,
            shard=random.randrange(SHARDS),  # noqa: S311 - spreads writers, guards nothing
            channel=notifier.channel,
            asked=lambda: notifier.asked,
        )
        self._migrate = migrate
        self._shell = Shell(source, settings, Subscribers(on_event_error), notifier)
        _stores.add(self)

    def _share(self, source: Source) -> Self:
        """Return the same store on another source."""
        shell = self._shell
        source = dataclasses.replace(source, pooler=shell.source.pooler)
        return self._twin(Shell(source, shell.settings, shell.subscribers, shell.notifier))

    def _twin(self, shell: Shell) -> Self:
        """Return the same store with another shell."""
        twin = object.__new__(type(self))
        twin._migrate = "off"
        twin._shell = shell
        twin._open()
        if shell.source.engine is not None or isinstance(shell, Transaction):
            _stores.add(twin)
        return twin

    @property
    def notifier(self) -> Notifier:
        """What wakes those who wait for something to be committed."""
        return self._shell.notifier

    @property
    def joined(self) -> bool:
        """Whether it is bound to a transaction."""
        return self._shell.source.join is not None

    def _open(self) -> None:
        """Prepare what a shell needs besides its source."""

    def _after_fork(self) -> None:
        self._shell.after_fork()
        self._open()

    def __repr__(self) -> str:
        names = self._shell.settings.tables
        return f"<{type(self).__name__} {names.schema or ''}.{names.prefix}*>"

    def subscribe(self, queue: str, callback: Callback) -> None:
        """Call `callback` for each event of `queue`."""
        self._shell.subscribers.subscribe(queue, callback)

    def unsubscribe(self, queue: str, callback: Callback | None = None) -> None:
        """Stop calling `callback`, or every callback of `queue`."""
        self._shell.subscribers.unsubscribe(queue, callback)

    def has_subscribers(self, queue: str, *, besides: Callback | None = None) -> bool:
        """Whether an event of `queue` would reach any callback `besides` one."""
        return self._shell.subscribers.any(queue, besides)

    def wakeup(self, queue: str) -> QueueWakeup:
        """Return what a worker of `queue` waits on; whichever process adds a job, it is woken."""
        return QueueWakeup(self.notifier, check_name("queue", queue))

    def hints(
        self, queue: str, job_id: str, wake: Callable[[], object]
    ) -> AbstractContextManager[None]:
        """Call `wake` at each hint that a job may have changed, until the end of the block."""
        return self.notifier.hints(queue, job_id, wake)

    def _ask_for_hints(self, queue: str, job_id: str) -> Callable[[Tx], None]:
        """Return the body of `ask_for_hints`."""
        return lambda tx: self.notifier.ask(tx.conn, queue, job_id)

    def _connect(self) -> None:
        """Check the server and bring the tables to head, unless a host's transaction is used."""
        shell, names = self._shell, self._shell.settings.tables
        if shell.source.engine is None or shell.closed is None:
            return
        shell.closed = None

        def connect(tx: Tx) -> None:
            tx.dialect.check_pooler(tx.conn, shell.source.pooler)
            tx.dialect.check_server(tx.conn)

        try:
            shell.run(connect)
            migrate.ensure(
                shell.source.engine, mode=self._migrate, prefix=names.prefix, schema=names.schema
            )
        except BaseException as error:
            shell.closed = NOT_YET
            if shell.source.owned is not None:
                shell.source.engine.dispose()
            # Whatever was carried out of a migration is found, and left, by the next one.
            if isinstance(error, DBAPIError) and shell.source.dialect.is_disconnect(error):
                raise StoreUnavailable("connect") from error
            raise

    def _disconnect(self) -> None:
        self._shell.subscribers.clear()
        if self._shell.source.engine is not None:
            self._shell.closed = NO_LONGER


def _after_fork() -> None:
    for store in tuple(_stores):
        store._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
