"""What SQLAlchemy does not know of a database's connections, transactions and errors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from oqron_sql.errors import ConfigurationError

# Kept open once needed; what goes beyond it is opened and closed each time.
POOL_SIZE = 10


class Connecting:
    """The questions about engines, connections, transactions, and what an error means."""

    def engine_options(self, url: URL) -> dict[str, Any]:
        """Return keywords for the engine that is created from `url`."""
        return {}

    def pooled_options(self, url: URL) -> dict[str, Any]:
        """Return keywords for the driver where a pooler lends connections for a transaction each.

        Raises:
            ConfigurationError: nothing is known of that.
        """
        raise ConfigurationError(
            f"nothing is known of a pooler in front of {url.get_backend_name()}; leave `pooler` out"
        )

    def in_memory(self, url: URL) -> bool:
        """Whether the database lives in one connection, which everybody then has to share."""
        return False

    def prepare(self, engine: Engine) -> None:
        """Set up an engine that was created here; never called for a host's engine."""

    def begin(self, conn: Connection) -> None:
        """Begin a transaction that writes; by default SQLAlchemy has begun it already."""

    def commit(self, conn: Connection) -> None:
        """Commit it."""
        conn.commit()

    def rollback(self, conn: Connection) -> None:
        """Roll it back."""
        conn.rollback()

    @contextlib.contextmanager
    def autocommitting(self, conn: Connection) -> Iterator[None]:
        """Let statements on a host's connection commit by themselves meanwhile, if `autocommit`."""
        yield

    def enter(self, conn: Connection) -> None:
        """Make sure that the driver has begun the transaction that a host says it is in."""

    def in_transaction(self, conn: Connection) -> bool:
        """Whether the driver knows that a transaction is open."""
        return False

    def autocommits(self, conn: Connection) -> bool:
        """Whether statements on `conn` are committed one by one: there is nothing to join."""
        driver = conn.connection.dbapi_connection
        try:
            autocommit = driver is not None and conn.dialect.detect_autocommit_setting(driver)
        except NotImplementedError:
            return False
        # A host may have begun what SQLAlchemy knows nothing of.
        return autocommit and not self.in_transaction(conn)

    def check_writable(self, conn: Connection) -> None:
        """Refuse a server that lets nobody write, as one does that is no longer the primary.

        Asked of each connection now and then, before any transaction.

        Raises:
            UnsupportedDatabase: it is one.
        """

    def read_only(self) -> ColumnElement[bool] | None:
        """Return what tells, beside other things, that the server seems to let nobody write."""
        return None

    def is_transient(self, error: DBAPIError) -> bool:
        """Whether the transaction was rolled back and may simply be tried again."""
        return isinstance(error, OperationalError) and not self.is_disconnect(error)

    def is_disconnect(self, error: DBAPIError) -> bool:
        """Whether the connection is of no further use, a failover to read-only included."""
        return error.connection_invalidated

    def is_refusal(self, error: DBAPIError) -> bool:
        """Whether a connection was refused for a wrong name or password, or has no database."""
        return False

    def redact(self, error: DBAPIError) -> None:
        """Take out of `error`, and of its causes, what the database quotes of a row in them."""


@contextlib.contextmanager
def switched(conn: Connection, switch: Callable[..., None]) -> Iterator[None]:
    """Turn on the autocommit of a host's driver meanwhile, by `switch`.

    Not by an isolation level: SQLAlchemy would come back to its own idea of the host's.
    """
    driver = conn.connection.dbapi_connection
    if driver is None or conn.dialect.detect_autocommit_setting(driver):
        yield
        return
    switch(driver, on=True)
    try:
        yield
    finally:
        try:
            if not conn.invalidated:
                switch(driver, on=False)
        except Exception as error:  # noqa: BLE001 - each driver has its own
            conn.invalidate(error)
