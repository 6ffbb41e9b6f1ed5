"""What the SQL bodies may ask of a database, each question with a portable default."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Row,
    Select,
    String,
    Table,
    Text,
    TypeDecorator,
    and_,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.types import TypeEngine

Values = Mapping[str, Any]
CAS_ROUNDS = 20


class Work(Protocol):
    """The part of an operation that a dialect sees: its connection, and a way to make it atomic."""

    @property
    def conn(self) -> Connection:
        """The connection of this operation."""

    def begin(self) -> None:
        """Make what follows one transaction; nothing if it already is."""


class IsoTimestamp(TypeDecorator[datetime]):
    """An instant as UTC text of fixed width: exact, sortable and comparable on any database."""

    impl = String(26)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        if value is None:
            return None
        return _iso(value)

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


class Dialect:
    """A database's answers to the few questions that portable SQL cannot ask.

    Subclass it, override what the database does better, and add one line to the registry, or an
    entry point in the group `oqron_sql.dialects`. The defaults need nothing but SQL-92 and a
    rowcount that can be trusted: claims are compare-and-set, row by row.
    """

    names: ClassVar[tuple[str, ...]] = ()
    """SQLAlchemy's names of the dialects this object serves."""

    table_options: ClassVar[Mapping[str, Any]] = {}
    """Keywords for `Table`, prefixed with the dialect's name as SQLAlchemy wants them."""

    partial_indexes: ClassVar[bool] = False
    """Whether an index may have a WHERE clause."""

    autocommit: ClassVar[bool] = False
    """Whether a statement outside `begin` commits by itself on the engines the store uses."""

    exclusive: ClassVar[bool] = False
    """Whether operations of one process had better take turns: one writer at a time anyway."""

    extra: ClassVar[str] = "all"
    """The extra of this package that installs a driver."""

    blocking_driver: ClassVar[str] = ""
    """A driver for callers that cannot await."""

    # -- types ---------------------------------------------------------------------------------

    def key_type(self, dialect: Any) -> TypeEngine[Any]:
        """Return a type for names of up to 255 characters that compares byte for byte."""
        return String(255)

    def text_type(self) -> TypeEngine[Any]:
        """Return a type for text of several megabytes."""
        return Text()

    def serial_type(self) -> TypeEngine[Any]:
        """Return a 64-bit integer type that the database can count up by itself."""
        return BigInteger()

    def timestamp_type(self) -> TypeEngine[Any]:
        """Return a type for aware instants, exact to the millisecond or better."""
        return IsoTimestamp()

    # -- connections ---------------------------------------------------------------------------

    def engine_options(self, url: URL) -> dict[str, Any]:
        """Return keywords for the engine that is created from `url`."""
        return {}

    def in_memory(self, url: URL) -> bool:
        """Whether the database lives in one connection, which everybody then has to share."""
        return False

    def prepare(self, engine: Engine) -> None:
        """Set up an engine that was created here; never called for a host's engine."""

    def adopt(self, engine: Engine) -> Engine:
        """Return `engine` as the store is to use it, leaving its settings as they are."""
        return engine

    def begin(self, conn: Connection) -> None:
        """Begin a transaction that writes; by default SQLAlchemy has begun it already."""

    def commit(self, conn: Connection) -> None:
        """Commit it."""
        conn.commit()

    def rollback(self, conn: Connection) -> None:
        """Roll it back."""
        conn.rollback()

    def autocommits(self, conn: Connection) -> bool:
        """Whether statements on `conn` are committed one by one: there is nothing to join."""
        driver = conn.connection.dbapi_connection
        try:
            return driver is not None and conn.dialect.detect_autocommit_setting(driver)
        except NotImplementedError:
            return False

    def check_server(self, conn: Connection) -> None:
        """Look at the server's version and settings.

        Raises:
            UnsupportedDatabase: they cannot keep the store's promises; says what to do.
        """

    def is_transient(self, error: DBAPIError) -> bool:
        """Whether the transaction was rolled back and may simply be tried again."""
        return isinstance(error, OperationalError) and not self.is_disconnect(error)

    def is_disconnect(self, error: DBAPIError) -> bool:
        """Whether the connection is of no further use, a failover to read-only included."""
        return error.connection_invalidated

    def lock_migration(
        self, conn: Connection, name: str, timeout: timedelta, *, begin: bool
    ) -> bool:
        """Wait until this connection alone migrates `name`; False after `timeout`.

        With `begin` a transaction is begun too, otherwise the caller is in one. The lock ends with
        `unlock_migration`, which follows the end of that transaction, or with the connection.
        """
        if begin:
            self.begin(conn)
        return True

    def unlock_migration(self, conn: Connection, name: str) -> None:
        """Let the next one migrate."""

    # -- statements ----------------------------------------------------------------------------

    def now(self, conn: Connection, offset: timedelta = timedelta(0)) -> Any:
        """Return the server's clock plus `offset`, as an expression or as a value just read."""
        read = conn.scalar(select(func.current_timestamp(type_=sqltypes.String())))
        now = read if isinstance(read, datetime) else datetime.fromisoformat(str(read))
        return literal((now if now.tzinfo else now.replace(tzinfo=UTC)) + offset, self._instant)

    @property
    def _instant(self) -> TypeEngine[Any]:
        return self.timestamp_type()

    def claim(
        self,
        work: Work,
        table: Table,
        candidates: Select[Any],
        values: Values,
        *,
        bump: Column[int],
        returning: Sequence[Column[Any]],
    ) -> Sequence[Row[Any]]:
        """Atomically set `values` on the rows of `table` that `candidates` selects; return them.

        `bump` is counted up by one on each. `candidates` selects from the table itself, with its
        conditions, order and limit. No two concurrent callers may receive one row. The order of
        the result is not defined.
        """
        key = primary_key(table)
        for _ in range(CAS_ROUNDS):
            found = work.conn.execute(
                candidates.with_only_columns(
                    *after(returning, values, bump), maintain_column_froms=True
                )
            ).all()
            where = candidates.whereclause
            taken = []
            for row in found:
                fresh = {name: row._mapping[name] for name in values}
                swap = (
                    update(table)
                    .where(key == row._mapping[key.name])
                    .where(bump == row._mapping[bump.name] - 1)
                    .values({**fresh, bump.name: bump + 1})
                )
                # The conditions again: a waiting job may have been changed without a new lease.
                if where is not None:
                    swap = swap.where(where)
                if work.conn.execute(swap).rowcount == 1:
                    taken.append(row)
            if taken or not found:
                return taken
        return ()

    def insert_ignore(self, work: Work, table: Table, values: Values) -> bool:
        """Insert a row unless a unique key forbids it; tell whether it was inserted."""
        work.begin()
        try:
            with work.conn.begin_nested():
                work.conn.execute(insert(table).values(values))
        except IntegrityError:
            return False
        return True

    def insert_many(
        self, work: Work, table: Table, source: FromClause, values: Values
    ) -> int | None:
        """Insert the rows of `source` that no unique key forbids; return how many, None if unknown.

        `values` maps columns to expressions over `source`, which has a column `n` that gives the
        order.
        """
        rows = work.conn.execute(
            select(*(expr.label(name) for name, expr in values.items())).order_by(source.c.n)
        ).all()
        return sum(self.insert_ignore(work, table, dict(row._mapping)) for row in rows)

    def upsert(self, work: Work, table: Table, values: Values, update_: Values) -> None:
        """Insert a row, or else set `update_` on the row with its primary key."""
        work.begin()
        same = [column == values[column.name] for column in table.primary_key]
        change = update(table).where(and_(*same)).values(dict(update_))
        # UPDATE before INSERT: the other order upgrades a shared lock, and two callers doing that
        # at once is the textbook deadlock.
        if work.conn.execute(change).rowcount == 0 and not self.insert_ignore(work, table, values):
            work.conn.execute(change)

    def serialize(self, work: Work, mutexes: Table, name: str) -> None:
        """Let one transaction at a time past this point, per `name`."""
        work.begin()
        turn = update(mutexes).where(mutexes.c.name == name).values(turn=mutexes.c.turn + 1)
        if work.conn.execute(turn).rowcount == 0:
            self.insert_ignore(work, mutexes, {"name": name})
            work.conn.execute(turn)

    def batch(
        self, columns: Mapping[str, TypeEngine[Any]], rows: Sequence[Sequence[Any]]
    ) -> FromClause:
        """Return `rows` as something to select from, with a further column `n` counting them."""
        return union_all(
            *(
                select(
                    literal(n, BigInteger).label("n"),
                    *(
                        literal(v, t).label(c)
                        for (c, t), v in zip(columns.items(), row, strict=True)
                    ),
                )
                for n, row in enumerate(rows)
            )
        ).subquery("batch")

    def lock_rows(self, rows: Select[Any], *, skip_locked: bool = True) -> Select[Any]:
        """Return `rows` such that reading them locks them, where the database can do that."""
        return rows


def json_rows(rows: Sequence[Sequence[Any]]) -> str:
    """Return `rows` as a JSON array of arrays; instants as UTC text."""
    return json.dumps(rows, ensure_ascii=False, default=_iso)


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def primary_key(table: Table) -> Column[Any]:
    """Return the single column of the primary key."""
    (key,) = table.primary_key
    return key


def after(
    columns: Sequence[Column[Any]], values: Values, bump: Column[int]
) -> list[ColumnElement[Any]]:
    """Return the columns as they will read once `values` are set and `bump` is counted up."""
    made: list[ColumnElement[Any]] = []
    for column in columns:
        if column is bump:
            made.append((bump + 1).label(bump.name))
        elif column.name in values:
            value = values[column.name]
            expr = value if isinstance(value, ColumnElement) else literal(value, column.type)
            made.append(expr.label(column.name))
        else:
            made.append(column)
    return made
