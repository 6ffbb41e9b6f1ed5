"""Several operations in one transaction of the store's own."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from oqron_sql.binding import Body
from oqron_sql.errors import ConfigurationError, StoreClosed, StoreUnavailable
from oqron_sql.queries.tx import Contended, Tx
from oqron_sql.shell import Again, Shell

R = TypeVar("R")


class Transaction(Shell):
    """Runs bodies on one connection; what they tell is told when `commit` has succeeded.

    Nothing is tried again: whoever opened it knows what else belongs to it.
    """

    def __init__(self, parent: Shell) -> None:
        source = parent.source
        if source.engine is None:
            raise ConfigurationError("this is bound to a host's transaction, which is one already")
        joined = dataclasses.replace(
            source, engine=None, owned=None, shared=False, join=self._connection_of_it
        )
        super().__init__(joined, parent.settings, parent.subscribers, parent.notifier)
        self.closed = parent.closed
        self._parent, self._open_connection = parent, contextlib.ExitStack()
        # Other threads would wait for the file anyway, but not for long.
        self._turn = parent._turn if source.hop == "none" else None
        self._conn: Connection | None = None
        self._told: list[Tx] = []

    def enter(self) -> None:
        """Begin.

        Raises:
            StoreUnavailable: the database could not be reached.
            StoreClosed: the store is not connected.
        """
        if self.closed:
            raise StoreClosed(self.closed)
        try:
            self._open_connection.enter_context(self._turn or contextlib.nullcontext())
            self._conn = self._open_connection.enter_context(self._parent.connection())
            self.source.dialect.begin(self._conn)
        except (Again, DBAPIError, OSError, TimeoutError) as error:
            self._leave()
            raise StoreUnavailable("transaction") from (error.__cause__ or error)
        except BaseException:
            self._leave()
            raise

    def after_fork(self) -> None:
        """Leave it to the process that this one was forked from: its connection is used there."""
        if self._conn is None:
            return
        self.closed = "in a forked process; the transaction is that of the process that began it"
        # Kept for ever. Even what is let go of as this process ends would roll back over there.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._open_connection))
        self._open_connection, self._conn = contextlib.ExitStack(), None

    def run(self, body: Body[R], *, repeatable: bool = True) -> R:
        """Run `body` in the transaction.

        Raises:
            StoreUnavailable: the transaction cannot go on.
            StoreClosed: it is over.
        """
        tx = Tx(self._connection_of_it(), self.source.dialect, self.settings, joined=True)
        try:
            result = body(tx)
        except Contended as error:
            raise StoreUnavailable("transaction") from error
        except DBAPIError as error:
            self.source.dialect.redact(error)
            if self._is_over(error):
                raise StoreUnavailable("transaction") from error
            raise
        self._told.append(tx)
        return result

    def commit(self) -> None:
        """Commit, and tell.

        Raises:
            StoreUnavailable: it was not committed, or nobody knows.
        """
        conn = self._connection_of_it()
        try:
            self.notifier.push(conn, set().union(*(tx.untold for tx in self._told)))
            self.source.dialect.commit(conn)
        except DBAPIError as error:
            self.source.dialect.redact(error)
            unknown = self.source.dialect.is_disconnect(error)
            self.rollback()
            raise StoreUnavailable("transaction", unknown=unknown) from error
        self._leave()
        for tx in self._told:
            self.tell(tx)

    def rollback(self) -> None:
        """Undo everything; nothing if it is over."""
        if self._conn is not None and not self._conn.invalidated:
            try:
                self.source.dialect.rollback(self._conn)
            except (SQLAlchemyError, OSError) as error:
                self._conn.invalidate(error)
        self._leave()

    def _connection_of_it(self) -> Connection:
        if self._conn is None:
            raise StoreClosed(self.closed or "outside of its transaction")
        return self._conn

    def _leave(self) -> None:
        self._conn = None
        with contextlib.suppress(SQLAlchemyError, OSError):
            self._open_connection.close()

    def _is_over(self, error: DBAPIError) -> bool:
        dialect = self.source.dialect
        if dialect.is_disconnect(error) and self._conn is not None:
            self._conn.invalidate(error)
            return True
        return dialect.is_transient(error)
