"""What a dialect is given to do, and what it can learn of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, Update, bindparam

Values = Mapping[str, Any]
Changes = Mapping[str, ColumnElement[Any]]
Rows = Sequence[Sequence[Any]]
NOTHING: Values = {}
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
