"""One operation from its connection to its commit: the only place that retries and gives up."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import FunctionType
from typing import TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.util import await_only

from oqron_sql.binding import Body
from oqron_sql.contract.events import Subscribers
from oqron_sql.engines import Source
from oqron_sql.errors import OqronError, StoreClosed, StoreUnavailable
from oqron_sql.notify import Notifier
from oqron_sql.queries.tx import Contended, Settings, Tx

logger = logging.getLogger("oqron_sql")
R = TypeVar("R")

ATTEMPTS = 8
FIRST_PAUSE = timedelta(milliseconds=5)
LONGEST_PAUSE = timedelta(seconds=1)


class Shell:
    """Runs bodies on a source, blocking; the hop to an event loop is around it."""

    def __init__(
        self, source: Source, settings: Settings, subscribers: Subscribers, notifier: Notifier
    ) -> None:
        self.source, self.settings, self.subscribers = source, settings, subscribers
        self.notifier = notifier
        self.closed: str | None = None if source.join else "before connect()"
        self._pending: weakref.WeakKeyDictionary[Connection, list[Callable[[], None]]] = (
            weakref.WeakKeyDictionary()
        )
        self._turn = (
            threading.RLock() if source.dialect.exclusive and source.hop != "greenlet" else None
        )

    def run(self, body: Body[R], *, repeatable: bool = True) -> R:
        """Run `body` in one operation, again if the database asks for it, and tell its events.

        Raises:
            StoreUnavailable: the database could not be reached, or its reply was lost.
            StoreClosed: the store is not connected.
        """
        if self.closed:
            raise StoreClosed(self.closed)
        if self.source.join is not None:
            return self._run_joined(body, self.source.join())
        for attempt in range(ATTEMPTS):
            try:
                with self._turn or contextlib.nullcontext():
                    result, tx = self._run_once(body)
            except _Again as again:
                if attempt == ATTEMPTS - 1 or (again.unknown and not repeatable):
                    raise StoreUnavailable(_name(body), unknown=again.unknown) from again.__cause__
                logger.info("trying %s again: %s", _name(body), type(again.__cause__).__name__)
                self._pause(attempt)
            else:
                self.tell(tx)
                return result
        raise AssertionError("unreachable")

    def tell(self, tx: Tx) -> None:
        """Tell what was committed."""
        self.notifier.ring(tx.conn.engine.url, tx.topics)
        for told in tx.events:
            self.subscribers.deliver(told)

    def _run_once(self, body: Body[R]) -> tuple[R, Tx]:
        with self._connection() as conn:
            tx = Tx(conn, self.source.dialect, self.settings)
            try:
                result = body(tx)
                if not tx.told:
                    self.notifier.push(conn, tx.topics)
                committing = tx.begun or not self.source.dialect.autocommit
                if committing:
                    self.source.dialect.commit(conn)
            except DBAPIError as error:
                self._clean_up(tx, error)
                raise AssertionError("unreachable") from error
            except Contended as error:
                self._undo(tx)
                raise _Again(unknown=False) from error
            except BaseException:
                self._undo(tx)
                raise
            return result, tx

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        if self.source.engine is None:
            raise AssertionError("a joined operation has no engine")
        try:
            conn = self.source.engine.connect()
        except OqronError:
            raise
        except (DBAPIError, OSError, TimeoutError) as error:
            raise _Again(unknown=False) from error
        with conn:
            yield conn

    def _clean_up(self, tx: Tx, error: DBAPIError) -> None:
        """Leave a sound connection or none, and say whether to try again; always raises."""
        dialect = self.source.dialect
        if dialect.is_disconnect(error):
            tx.conn.invalidate(error)
            raise _Again(unknown=True) from error
        self._undo(tx)
        if dialect.is_transient(error):
            raise _Again(unknown=False) from error
        raise error

    def _undo(self, tx: Tx) -> None:
        if tx.conn.invalidated or not (tx.begun or not self.source.dialect.autocommit):
            return
        try:
            self.source.dialect.rollback(tx.conn)
        except (SQLAlchemyError, OSError) as error:
            # What state it is in nobody knows; it must not go back to the pool. What made us undo
            # is the error that matters.
            tx.conn.invalidate(error)

    def _run_joined(self, body: Body[R], conn: Connection) -> R:
        """Run `body` in the host's transaction: nothing is begun, committed, or tried again."""
        tx = Tx(conn, self.source.dialect, self.settings, joined=True)
        result = body(tx)
        self.notifier.push(conn, tx.topics)
        if tx.events or tx.topics:
            self._hold_back(conn, lambda: self.tell(tx))
        return result

    def _hold_back(self, conn: Connection, call: Callable[[], None]) -> None:
        """Make `call` when the host commits, and not at all when it does not."""
        pending = self._pending.get(conn)
        if pending is None:
            pending = self._pending[conn] = []
            event.listen(conn, "commit", self._committed)
            event.listen(conn, "rollback", self._rolled_back)
        pending.append(call)

    def _committed(self, conn: Connection) -> None:
        pending = self._pending.get(conn, [])
        calls, pending[:] = list(pending), []
        for call in calls:
            call()

    def _rolled_back(self, conn: Connection) -> None:
        self._pending.get(conn, []).clear()

    def _pause(self, attempt: int) -> None:
        longest = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
        pause = random.uniform(0.5, 1) * longest.total_seconds()  # noqa: S311 - not a secret
        if self.source.hop == "greenlet":
            await_only(asyncio.sleep(pause))
        else:
            time.sleep(pause)


class _Again(Exception):
    """The operation failed in a way that another try may mend; the driver's error is the cause."""

    def __init__(self, *, unknown: bool) -> None:
        super().__init__()
        self.unknown = unknown


def _name(body: Callable[..., object]) -> str:
    """Return what `body` is called in an error: the name of the operation it closes over."""
    if isinstance(body, functools.partial):
        return _name(body.func)
    for cell in getattr(body, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # it is empty
            if isinstance(cell.cell_contents, FunctionType | functools.partial):
                return _name(cell.cell_contents)
    return str(body.__name__)
