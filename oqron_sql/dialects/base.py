"""What the SQL bodies may ask of a database, each question with a portable default."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol, TypeVar

from sqlalchemy import (
    URL,
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    FromClause,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    TypeDecorator,
    Update,
    and_,
    bindparam,
    func,
    insert,
    literal,
    select,
    type_coerce,
    union_all,
    update,
)
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.types import TypeEngine

from oqron_sql.dialects.examining import Examination
from oqron_sql.errors import ConfigurationError
from oqron_sql.hiding import Unshown

Values = Mapping[str, Any]
Changes = Mapping[str, ColumnElement[Any]]
Rows = Sequence[Sequence[Any]]
NOTHING: Values = {}
CAS_ROUNDS = 20
# Kept open once needed; what goes beyond it is opened and closed each time.
POOL_SIZE = 10
T = TypeVar("T")


class Work(Protocol):
    """The part of an operation that a dialect sees: its connection, and a way to make it atomic."""

    @property
    def conn(self) -> Connection:
        """The connection of this operation."""

    def begin(self) -> None:
        """Make what follows one transaction; nothing if it already is."""

    def filled(self, row: Values) -> Values:
        """Return `row` as parameters named "new_" and the column; timedeltas count from now."""

    def change(self, statement: Any, params: Values = ...) -> int:
        """Execute a statement, with what it is to tell; return how many rows it changed."""


@dataclasses.dataclass(eq=False, slots=True)
class Claim:
    """A change to the first rows of an order, prepared once and made many times.

    `candidates` selects the primary key from the table itself, with conditions, order and limit;
    `values` are set on each of its rows, and `bump` is counted up by one. The rows have at least
    the columns `returning`.
    """

    table: Table
    candidates: Select[Any]
    values: Changes
    bump: Column[int]
    returning: Sequence[Column[Any]]
    _made: dict[Any, Any] = dataclasses.field(default_factory=dict)

    def once(self, build: Callable[[Claim], T]) -> T:
        """Return what `build` makes of this claim, made the first time only."""
        if build not in self._made:
            self._made[build] = build(self)
        made: T = self._made[build]
        return made


@dataclasses.dataclass(eq=False, slots=True)
class Counted:
    """A change to many rows and the counter that tells how many there were, prepared once.

    The counter is a row of `counter` under its primary key; `n` is the column that counts.
    """

    change: Update
    counter: Table
    n: Column[int]
    _made: dict[Any, Any] = dataclasses.field(default_factory=dict)

    def once(self, build: Callable[[Counted], T]) -> T:
        """Return what `build` makes of this change, made the first time only."""
        if build not in self._made:
            self._made[build] = build(self)
        made: T = self._made[build]
        return made


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

    excluding: ClassVar[bool] = False
    """Whether `lock_rows` locks, or `begin` lets one transaction at a time pass.

    Where neither is known, operations of more than one statement take turns.
    """

    exclusive: ClassVar[bool] = False
    """Whether operations of one process had better take turns: one writer at a time anyway."""

    pushes: ClassVar[bool] = False
    """Whether `notify` reaches those who `listen`."""

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
        # SQLite's rowid is the only thing that counts up there, and INTEGER its only name.
        return BigInteger().with_variant(Integer(), "sqlite")

    def timestamp_type(self) -> TypeEngine[Any]:
        """Return a type for aware instants, exact to the millisecond or better."""
        return IsoTimestamp()

    # -- connections ---------------------------------------------------------------------------

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

    def check_server(self, conn: Connection) -> None:
        """Look at the server's version and settings.

        Raises:
            UnsupportedDatabase: they cannot keep the store's promises; says what to do.
        """

    def examine(self, conn: Connection, tables: Sequence[Table]) -> Examination:
        """Tell the server's version, its settings that matter, and what is wrong; reads alone."""
        version = ".".join(map(str, conn.dialect.server_version_info or ()))
        return Examination(f"{conn.dialect.name} {version}".strip())

    def check_pooler(self, conn: Connection, pooler: str | None) -> None:
        """Compare what was said of a pooler with what there is.

        Raises:
            UnsupportedDatabase: there is one of which nothing was said, or the driver is not set up
                for it.
        """

    def is_transient(self, error: DBAPIError) -> bool:
        """Whether the transaction was rolled back and may simply be tried again."""
        return isinstance(error, OperationalError) and not self.is_disconnect(error)

    def is_disconnect(self, error: DBAPIError) -> bool:
        """Whether the connection is of no further use, a failover to read-only included."""
        return error.connection_invalidated

    def redact(self, error: DBAPIError) -> None:
        """Take out of `error`, and of its causes, what the database quotes of a row in them."""

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

    # -- waking others -------------------------------------------------------------------------

    def files(self, url: URL) -> Sequence[str]:
        """Return the files of which one changes with every commit, the database itself first."""
        return ()

    def notify(self, conn: Connection, channel: str, payload: str) -> None:
        """Tell whoever listens on `channel`, when the transaction is committed."""

    def telling(self, statement: Any) -> Executable | None:
        """Return `statement` such that it notifies if it changes a row; None if it cannot.

        It then has the parameters `hint_channel` and `hint_payload`, and selects how many rows it
        changed. So telling takes no further round trip.
        """
        return None

    def listen(self, conn: Connection, channel: str, heard: Callable[[str], None]) -> None:
        """Begin to listen on `channel`; `heard` may be called with payloads from now on."""

    def hear(
        self,
        conn: Connection,
        seconds: float,
        heard: Callable[[str], None],
        rest: Callable[[float], None],
    ) -> None:
        """Call `heard` with what is told in the next `seconds`; `rest` lets time pass.

        It raises an OSError or an error of SQLAlchemy's when the connection is lost.
        """
        rest(seconds)

    # -- statements ----------------------------------------------------------------------------

    span_type: TypeEngine[Any] | None = None
    """The type of the parameter of `later`; None means that it is the instant itself."""

    def later(self, span: BindParameter[Any]) -> ColumnElement[Any]:
        """Return the server's clock plus what the parameter `span` says, as an expression."""
        return span

    def spans(self, conn: Connection, spans: Mapping[str, timedelta]) -> dict[str, Any]:
        """Return the values of parameters of `later`, by default after reading the clock."""
        read = conn.scalar(select(func.current_timestamp(type_=sqltypes.String())))
        now = read if isinstance(read, datetime) else datetime.fromisoformat(str(read))
        now = now if now.tzinfo else now.replace(tzinfo=UTC)
        return {name: now + span for name, span in spans.items()}

    def span(self, name: str) -> BindParameter[Any]:
        """Return a parameter for `later`."""
        return bindparam(name, type_=self.span_type or self.timestamp_type())

    def claim(self, work: Work, claim: Claim, params: Values) -> Sequence[Row[Any]]:
        """Atomically change the rows that `claim` selects and return them, in no certain order.

        No two concurrent callers may receive one row.
        """
        work.begin()
        key, bump = primary_key(claim.table), claim.bump
        for _ in range(CAS_ROUNDS):
            found = work.conn.execute(claim.once(seeing), params).all()
            where = claim.candidates.whereclause
            taken = []
            for row in found:
                fresh = {name: row._mapping[name] for name in claim.values}
                swap = (
                    update(claim.table)
                    .where(key == row._mapping[key.name])
                    .where(bump == row._mapping[bump.name] - 1)
                    .values({**fresh, bump.name: bump + 1})
                )
                # The conditions again: a waiting job may have been changed without a new lease.
                if where is not None:
                    swap = swap.where(where)
                if work.conn.execute(swap, params).rowcount == 1:
                    taken.append(row)
            if taken or not found:
                return taken
        return ()

    def insert_ignore(
        self, work: Work, table: Table, row: Values, *, computed: Changes = NOTHING
    ) -> bool:
        """Insert a row unless a unique key forbids it; tell whether it was inserted.

        A timedelta stands for the instant that is so long from now; what is `computed`, the
        statement computes.
        """
        work.begin()
        try:
            with work.conn.begin_nested():
                values = {**inserted(self, table, *shape(row)), **computed}
                statement = insert(table).values(values)
                work.conn.execute(statement, work.filled(row))
        except IntegrityError:
            return False
        return True

    def insert_many(
        self,
        work: Work,
        table: Table,
        names: tuple[str, ...],
        rows: Rows,
        *,
        timed: tuple[str, ...] = (),
        same: Values = NOTHING,
    ) -> int | None:
        """Insert the rows that no unique key forbids; return how many, None if unknown.

        `rows` have the columns `names`; the columns `timed` get the server's clock, and those of
        `same` its values.
        """
        common = {**same, **dict.fromkeys(timed, timedelta(0))}
        return sum(
            self.insert_ignore(work, table, {**dict(zip(names, row, strict=True)), **common})
            for row in rows
        )

    def upsert(
        self, work: Work, table: Table, row: Values, changes: Changes, params: Values = NOTHING
    ) -> None:
        """Insert `row`, or else make `changes`, with `params`, to the row with its key.

        A timedelta in `row` stands for the instant that is so long from now.
        """
        work.begin()
        same = [column == row[column.name] for column in row_key(table)]
        change = update(table).where(and_(*same)).values(dict(changes))
        # UPDATE before INSERT: the other order upgrades a shared lock, and two callers doing that
        # at once is the textbook deadlock.
        if work.conn.execute(change, params).rowcount == 0 and not self.insert_ignore(
            work, table, row
        ):
            work.conn.execute(change, params)

    def change_counted(self, work: Work, counted: Counted, key: Values, params: Values) -> int:
        """Make a change and add to the counter under `key` how many rows it changed: or neither.

        Returns that number.
        """
        work.begin()
        changed = work.conn.execute(counted.change, params).rowcount
        if changed:
            more = counted.once(more_of)
            self.upsert(
                work, counted.counter, {**key, counted.n.name: changed}, more, {"more": changed}
            )
        return changed

    def serialize(self, work: Work, mutexes: Table, name: str) -> None:
        """Let one transaction at a time past this point, per `name`."""
        work.begin()
        turn = update(mutexes).where(mutexes.c.name == name).values(turn=mutexes.c.turn + 1)
        if work.conn.execute(turn).rowcount == 0:
            self.insert_ignore(work, mutexes, {"name": name})
            work.conn.execute(turn)

    def batch(self, columns: Mapping[str, TypeEngine[Any]], size: int) -> FromClause:
        """Return `size` rows to be given by `batch_values`, with a column `n` counting them."""
        return union_all(
            *(
                select(
                    literal(n, BigInteger).label("n"),
                    *(
                        bindparam(f"{name}_{n}", type_=kind).label(name)
                        for name, kind in columns.items()
                    ),
                )
                for n in range(size)
            )
        ).subquery("batch")

    def batch_values(self, columns: Mapping[str, TypeEngine[Any]], rows: Rows) -> dict[str, Any]:
        """Return the parameters of `batch`."""
        return {
            f"{name}_{n}": value
            for n, row in enumerate(rows)
            for name, value in zip(columns, row, strict=True)
        }

    def batch_size(self, rows: Rows) -> int:
        """Return the size to ask `batch` for; 0 where one statement serves any number of rows."""
        return len(rows)

    def lock_rows(self, rows: Select[Any], *, skip_locked: bool = True) -> Select[Any]:
        """Return `rows` such that reading them locks them, where the database can do that."""
        return rows

    def read_current(self, rows: Select[Any]) -> Select[Any]:
        """Return `rows` such that they are read as they are, not as the transaction saw them first.

        For a host's transaction only. By default the database tells of a conflict by itself.
        """
        return rows


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


def json_rows(rows: Sequence[Sequence[Any]]) -> str:
    """Return `rows` as a JSON array of arrays; instants as UTC text."""
    return Unshown(json.dumps(rows, ensure_ascii=False, default=_iso))


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def primary_key(table: Table) -> Column[Any]:
    """Return the single column of the primary key."""
    (key,) = table.primary_key
    return key


def more_of(counted: Counted) -> Changes:
    """Return the change to a counter that adds the parameter "more"."""
    return {counted.n.name: counted.n + bindparam("more", type_=counted.n.type)}


def row_key(table: Table) -> Sequence[Column[Any]]:
    """Return the columns by which a caller knows a row: the primary key, or a name beside it."""
    names: Sequence[str] = table.info.get("key", ())
    return [table.c[name] for name in names] or list(table.primary_key)


def seeing(claim: Claim) -> Select[Any]:
    """Return the candidates with their columns as they will read once they are claimed.

    What is changed, and what tells one row from others, is among them, asked for or not.
    """
    made: list[ColumnElement[Any]] = []
    changed = (claim.table.c[name] for name in claim.values)
    key = primary_key(claim.table)
    for column in dict.fromkeys((*claim.returning, key, claim.bump, *changed)):
        if column is claim.bump:
            made.append((column + 1).label(column.name))
        elif column.name in claim.values:
            made.append(claim.values[column.name].label(column.name))
        else:
            made.append(column)
    return claim.candidates.with_only_columns(*made, maintain_column_froms=True)


Shape = tuple[tuple[str, ...], tuple[str, ...]]


def shape(row: Values) -> Shape:
    """Return the columns of `row`: those with a value, and those that count from now."""
    return (
        tuple(name for name, value in row.items() if type(value) is not timedelta),
        tuple(name for name, value in row.items() if type(value) is timedelta),
    )


def inserted(
    dialect: Dialect, table: Table, names: tuple[str, ...], timed: tuple[str, ...]
) -> dict[str, ColumnElement[Any]]:
    """Return what to insert for a row of that shape, with the parameters of `Work.filled`."""
    plain = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    now = {name: dialect.later(dialect.span(f"new_{name}")) for name in timed}
    return {**plain, **{name: type_coerce(now[name], table.c[name].type) for name in timed}}
