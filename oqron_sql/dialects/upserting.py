"""For databases whose INSERT can say what is to become of a conflict: one statement, made once."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, Executable, Insert, Table, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import TypeEngine

from oqron_sql.dialects.base import Dialect, inserted
from oqron_sql.dialects.work import NOTHING, Changes, Rows, Values, Work, shape
from oqron_sql.dialects.written import json_rows

Computed = tuple[tuple[str, ColumnElement[Any]], ...]


class Upserting(Dialect):
    """The three ways to insert, from what a family says of its INSERT.

    A batch is one JSON document, and spans from now are computed by the server, unless a family
    says otherwise.
    """

    looks_dearly: ClassVar[bool] = False
    """Whether it is dear to look for a conflict, so that many rows are inserted without at first.

    That is done where each statement is a transaction: one that fails leaves nothing.
    """

    def insert(self, table: Table) -> Insert:
        """Return the family's INSERT into `table`."""
        raise NotImplementedError

    def or_nothing(self, statement: Any, table: Table) -> Executable:
        """Return the INSERT such that a row that conflicts is left out."""
        raise NotImplementedError

    def or_change(self, statement: Any, table: Table, changes: dict[str, Any]) -> Executable:
        """Return the INSERT such that the row in the way is changed instead."""
        raise NotImplementedError

    def spans(self, conn: Connection, spans: Mapping[str, timedelta]) -> dict[str, Any]:
        return dict(spans)

    def insert_ignore(
        self, work: Work, table: Table, row: Values, *, computed: Changes = NOTHING
    ) -> bool:
        statement = _inserting(self, table, *shape(row), tuple(computed.items()))
        return work.change(statement, work.filled(row)) == 1

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
        columns = {name: table.c[name].type for name in names}
        common = work.filled({**same, **dict.fromkeys(timed, timedelta(0))})
        params = {**common, **self.batch_values(columns, rows)}
        plain = plain_insert_many(self, table, names, tuple(same), timed)
        if self.looks_dearly and self.autocommits(work.conn):
            with contextlib.suppress(IntegrityError):  # nothing was written: look who is in the way
                return work.change(plain, params)
        return work.change(_ignoring(self, plain, table), params)

    def upsert(
        self, work: Work, table: Table, row: Values, changes: Changes, params: Values = NOTHING
    ) -> None:
        statement = _upserting(self, table, *shape(row), tuple(changes.items()))
        work.conn.execute(statement, {**work.filled(row), **params})

    def batch_values(self, columns: Mapping[str, TypeEngine[Any]], rows: Rows) -> dict[str, Any]:
        return {"batch": json_rows(rows)}

    def batch_size(self, rows: Rows) -> int:
        return 0


@functools.lru_cache(maxsize=256)
def plain_insert(
    dialect: Upserting,
    table: Table,
    names: tuple[str, ...],
    timed: tuple[str, ...],
    computed: Computed = (),
) -> Insert:
    """Return the INSERT of a row of that shape, which fails if there is a conflict."""
    values = {**inserted(dialect, table, names, timed), **dict(computed)}
    return dialect.insert(table).values(values).inline()


@functools.lru_cache(maxsize=256)
def _inserting(
    dialect: Upserting,
    table: Table,
    names: tuple[str, ...],
    timed: tuple[str, ...],
    computed: Computed,
) -> Executable:
    statement = dialect.or_nothing(plain_insert(dialect, table, names, timed, computed), table)
    return statement.execution_options(**_COUNTED)


@functools.lru_cache(maxsize=256)
def plain_insert_many(
    dialect: Upserting,
    table: Table,
    names: tuple[str, ...],
    same: tuple[str, ...],
    timed: tuple[str, ...],
) -> Insert:
    """Return the INSERT of a batch of rows of that shape, which fails if there is a conflict."""
    source = dialect.batch({name: table.c[name].type for name in names}, 0)
    common = inserted(dialect, table, same, timed)
    rows = (
        select(*(source.c[name] for name in names), *common.values())
        .where(true())  # else SQLite's parser takes ON CONFLICT for a join
        .order_by(source.c.n)
    )
    statement = dialect.insert(table).from_select([*names, *common], rows)
    return statement.execution_options(**_COUNTED)


@functools.lru_cache(maxsize=256)
def _ignoring(dialect: Upserting, statement: Insert, table: Table) -> Executable:
    return dialect.or_nothing(statement, table)


# Of an INSERT, psycopg no longer knows how many rows there were once its cursor is closed.
_COUNTED: dict[str, Any] = {"preserve_rowcount": True}


@functools.lru_cache(maxsize=256)
def _upserting(
    dialect: Upserting,
    table: Table,
    names: tuple[str, ...],
    timed: tuple[str, ...],
    changes: Computed,
) -> Executable:
    return dialect.or_change(plain_insert(dialect, table, names, timed), table, dict(changes))
