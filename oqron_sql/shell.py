"""One operation from its connection to its commit: the only place that retries and gives up."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import FunctionType
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool, Pool
from sqlalchemy.util import await_only

from oqron_sql.binding import Body
from oqron_sql.contract.events import Subscribers
from oqron_sql.dialects import borrowed, proving
from oqron_sql.engines import Source
from oqron_sql.errors import (
    ConfigurationError,
    OqronError,
    StoreClosed,
    StoreUnavailable,
    UnsupportedDatabase,
)
from oqron_sql.hiding import quote_cause
from oqron_sql.joining import after_commit
from oqron_sql.notify import Notifier
from oqron_sql.queries.tx import Contended, Settings, Tx

logger = logging.getLogger("oqron_sql")
R = TypeVar("R")

ATTEMPTS = 8
FIRST_PAUSE = timedelta(milliseconds=5)
LONGEST_PAUSE = timedelta(seconds=1)
_CONNECT = (
    "connect it by `async with store:` or `await store.connect()`, "
    "and one that blocks by the same without async and await"
)
NOT_YET, NO_LONGER = f"before connect(); {_CONNECT}", f"after disconnect(); {_CONNECT}"
"""When a store was used that is closed, and what to do."""


class Shell:
    """Runs bodies on a source, blocking; the hop to an event loop is around it."""

    def __init__(
        self, source: Source, settings: Settings, subscribers: Subscribers, notifier: Notifier
    ) -> None:
        self.source, self.settings, self.subscribers = source, settings, subscribers
        self.notifier = notifier
        self.closed: str | None = None if source.join else NOT_YET
        self._inherited: Pool | None = None
        self._was_let_in = False
        self._open()

    def _open(self) -> None:
        source = self.source
        one_by_one = source.dialect.exclusive or source.shared
        self._turn = threading.RLock() if one_by_one and source.hop != "greenlet" else None

    def after_fork(self) -> None:
        """Use no connection, and wait for no lock, of the process that this one was forked from."""
        self._open()
        engine = self.source.engine
        if engine is None or self.closed:
            return
        self.notifier.after_fork()
        if self.source.shared:
            self.closed = "in a forked process, which has no connection of its own"
        elif self.source.owned is not None:
            engine.dispose(close=False)
        elif not isinstance(engine.pool, NullPool):
            self._inherited = engine.pool

    def twin(self, source: Source) -> Shell:
        """Return a shell on `source`, the same database, with subscribers of its own."""
        twin = Shell(source, self.settings, Subscribers(), self.notifier.twin(source))
        twin._turn = self._turn  # whoever shares a connection, or a file, waits for its turn
        return twin

    def run(self, body: Body[R], *, repeatable: bool = True) -> R:
        """Run `body` in one operation, again if the database asks for it, and tell its events.

        Raises:
            StoreUnavailable: the database could not be reached, or its reply was lost.
            StoreClosed: the store is not connected.
        """
        if self.source.join is not None:
            self._refuse_closed()
            return self._run_joined(body, self.source.join())
        told = ""
        for attempt in range(ATTEMPTS):
            try:
                with self._turn or contextlib.nullcontext():
                    self._refuse_closed()  # each time: a pool that was disposed would open again
                    result, tx = self._run_once(body)
            except Again as again:
                last = attempt == ATTEMPTS - 1 or self._is_final(again)
                if last or (again.unknown and not repeatable):
                    raise StoreUnavailable(_name(body), unknown=again.unknown) from again.__cause__
                reason = quote_cause(again)
                if reason != told:  # one line for an outage, however often it is tried
                    logger.info("trying %s again: %s", _name(body), reason)
                told = reason
                self._pause(attempt)
            else:
                self.tell(tx)
                return result
        raise AssertionError("unreachable")

    def _refuse_closed(self) -> None:
        if self.closed:
            raise StoreClosed(self.closed)

    def tell(self, tx: Tx) -> None:
        """Tell what was committed."""
        self.notifier.ring(tx.conn.engine.url, tx.topics)
        for told in tx.events:
            self.subscribers.deliver(told)

    def _run_once(self, body: Body[R]) -> tuple[R, Tx]:
        with self.connection() as conn:
            tx = Tx(conn, self.source.dialect, self.settings)
            try:
                result = body(tx)
                self.notifier.push(conn, tx.untold)
                if self._in_transaction(tx):
                    self.source.dialect.commit(conn)
            except DBAPIError as error:
                self._clean_up(tx, error)
                raise AssertionError("unreachable") from error
            except Contended as error:
                self._undo(tx)
                raise Again(unknown=False) from error
            except BaseException:
                self._undo(tx)
                raise
            return result, tx

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """Open a connection that is used for our tables alone.

        Raises:
            Again: there is none to be had; the driver's error is the cause.
            ConfigurationError: the engine's connections are those of another process.
        """
        engine = self.source.engine
        if engine is None:
            raise AssertionError("a joined operation has no engine")
        if self._inherited is not None and engine.pool is self._inherited:
            raise ConfigurationError(
                "the connections of this engine belong to the process that was forked; call "
                "engine.dispose(close=False) first thing in the new one"
            )
        try:
            conn = engine.connect()
        except OqronError:
            raise
        except (DBAPIError, OSError, TimeoutError) as error:
            raise Again(unknown=False) from error
        except TypeError as error:
            if self.source.owned is None:
                raise
            # Of what the URL says after its question mark, as a rule; it names no value.
            raise ConfigurationError(f"the driver cannot connect like that: {error}") from error
        self._was_let_in = True
        with conn:
            if self.source.owned is not None:
                self._prove(conn)
                yield conn
                return
            with self.source.dialect.autocommitting(conn):
                if self._prove(conn):
                    conn.rollback()
                conn.begin()  # a host's "begin" hook comes before anything of ours
                yield conn

    def _prove(self, conn: Connection) -> bool:
        """Leave a server that is no longer the primary: it still answers those who only read.

        Return whether it was asked.
        """
        if not proving.is_due(conn):
            return False
        try:
            self.source.dialect.check_writable(conn)
        except (DBAPIError, UnsupportedDatabase) as error:
            if self.source.owned is not None:
                # All that are pooled lead there: to leave them one by one may take every attempt.
                conn.engine.pool._invalidate(conn.connection, error)
            conn.invalidate(error)
            raise Again(unknown=False) from error
        proving.saw(conn, may_write=True)
        return True

    def _clean_up(self, tx: Tx, error: DBAPIError) -> None:
        """Leave a sound connection or none, and say whether to try again; always raises."""
        dialect = self.source.dialect
        dialect.redact(error)
        if dialect.is_disconnect(error):
            tx.conn.invalidate(error)
            raise Again(unknown=True) from error
        self._undo(tx)
        if dialect.is_transient(error):
            raise Again(unknown=False) from error
        raise error

    def _is_final(self, again: Again) -> bool:
        """Whether there never was a connection, and the server refused this one.

        The URL is wrong, then; later on it may be a password that is just being changed.
        """
        error = again.__cause__
        refused = isinstance(error, DBAPIError) and self.source.dialect.is_refusal(error)
        return refused and not self._was_let_in

    def _in_transaction(self, tx: Tx) -> bool:
        """Whether there is something to commit or to undo."""
        dialect = self.source.dialect
        if tx.begun or not dialect.autocommit:
            return True
        # A host's engine may have a "begin" hook that begins one.
        return self.source.owned is None and dialect.in_transaction(tx.conn)

    def _undo(self, tx: Tx) -> None:
        if tx.conn.invalidated or not self._in_transaction(tx):
            return
        try:
            self.source.dialect.rollback(tx.conn)
        except (SQLAlchemyError, OSError) as error:
            # What state it is in nobody knows; it must not go back to the pool. What made us undo
            # is the error that matters.
            tx.conn.invalidate(error)

    def _run_joined(self, body: Body[R], conn: Connection) -> R:
        """Run `body` in the host's transaction: nothing is begun, committed, or tried again.

        Where the host's connection commits every statement by itself, there is no transaction to
        join, and the operation is one of its own.
        """
        dialect = self.source.dialect
        with borrowed(conn):
            alone = dialect.autocommits(conn)
            if alone and not conn.in_transaction():
                conn.begin()  # as the first statement would; a hook may begin a real one
                alone = dialect.autocommits(conn)
            tx = Tx(conn, dialect, self.settings, joined=not alone)
            try:
                result = body(tx)
                self.notifier.push(conn, tx.untold)
                tx.commit()
            except BaseException as error:
                with contextlib.suppress(SQLAlchemyError):
                    tx.rollback()
                if isinstance(error, Contended):
                    raise StoreUnavailable(_name(body)) from error
                if isinstance(error, DBAPIError):
                    dialect.redact(error)
                raise
        if conn.in_transaction() and not alone:
            if tx.events or tx.topics:
                after_commit(conn, lambda: self.tell(tx))
        else:
            self.tell(tx)
        return result

    def _pause(self, attempt: int) -> None:
        longest = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
        pause = random.uniform(0.5, 1) * longest.total_seconds()  # noqa: S311 - not a secret
        if self.source.hop == "greenlet":
            await_only(asyncio.sleep(pause))
        else:
            time.sleep(pause)


class Again(Exception):
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
