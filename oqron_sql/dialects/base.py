"""What the SQL bodies may ask of a database, each question with a portable default.

Those about connections, about the server and about waking others have files of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
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
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import TypeEngine

from oqron_sql.dialects.connecting import Connecting
from oqron_sql.dialects.examining import Examining
from oqron_sql.dialects.waking import Waking
from oqron_sql.dialects.work import (
    NOTHING,
    Changes,
    Claim,
    Counted,
    Rows,
    Values,
    Work,
    more_of,
    primary_key,
    row_key,
    seeing,
    shape,
)
from oqron_sql.dialects.written import IsoTimestamp

CAS_ROUNDS = 20


class Dialect(Connecting, Examining, Waking):
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

    # -- migrations ----------------------------------------------------------------------------

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

    span_type: TypeEngine[Any] | None = None
    """The type of the parameter of `later`; None means that it is the instant itself."""

    def later(self, span: BindParameter[Any]) -> ColumnElement[Any]:
        """Return the server's clock plus what the parameter `span` says, as an expression."""
        return span

    def written(self, span: BindParameter[Any]) -> ColumnElement[Any]:
        """Return what `later` does, by the clock of the moment in which a row is written.

        A statement may have waited for the row. No index can serve it.
        """
        return self.later(span)

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


def inserted(
    dialect: Dialect, table: Table, names: tuple[str, ...], timed: tuple[str, ...]
) -> dict[str, ColumnElement[Any]]:
    """Return what to insert for a row of that shape, with the parameters of `Work.filled`."""
    plain = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    now = {name: dialect.later(dialect.span(f"new_{name}")) for name in timed}
    return {**plain, **{name: type_coerce(now[name], table.c[name].type) for name in timed}}
