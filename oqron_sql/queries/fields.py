"""Declared fields, as rows that an index can put in order.

They narrow a search down and give an order to read in; whether a document matches, and where it
stands exactly, is decided by the document itself. So a row may say less than the field: the start
of a text, the nearest double of a number.

A document says by a mark which fields were written down with it. Those with another mark, saved by
a process that declares something else, are looked at one by one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import operator
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Row,
    delete,
    exists,
    select,
    union_all,
)

from oqron_sql.contract.adapters import Document
from oqron_sql.contract.checks import check_name
from oqron_sql.contract.comparing import epoch_ms
from oqron_sql.contract.documents import Query
from oqron_sql.errors import InvalidInput
from oqron_sql.hiding import hiding
from oqron_sql.queries.tx import Tx
from oqron_sql.schema.types import ShortKey

UNMARKED, OUTDATED = "", "-"
# Up to here every whole number is a double of its own.
EXACT = 2.0**53
_NEXT = "\x01"  # no text that is told exactly has it
_BOUNDS: Mapping[str, Callable[[Any, Any], Any]] = {
    "$lt": operator.le,
    "$lte": operator.le,
    "$gt": operator.ge,
    "$gte": operator.ge,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """The fields of a namespace that are written down, and the mark of these."""

    fields: tuple[str, ...]
    mark: str


@hiding("value")
@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """What a row of a field must meet if its document matches."""

    field: str
    column: str
    compare: Callable[[Any, Any], Any]
    value: Any

    @property
    def equality(self) -> bool:
        """Whether all that meet it have one value."""
        return self.compare is operator.eq

    def met(self, fields: FromClause) -> ColumnElement[bool]:
        """Return it as one of a row of `fields`."""
        met: ColumnElement[bool] = self.compare(fields.c[self.column], self.value)
        return met


def declare(indexes: Mapping[str, Sequence[str]] | None) -> dict[str, Declared]:
    """Return the declared fields by namespace, checked.

    Raises:
        InvalidInput: a name is refused.
    """
    declared = {}
    if indexes is not None and not isinstance(indexes, Mapping):
        raise InvalidInput("indexes", indexes, "must be a mapping of namespaces to lists of fields")
    for namespace, fields in (indexes or {}).items():
        check_name("namespace", namespace)
        if isinstance(fields, str) or not isinstance(fields, Collection):
            raise InvalidInput("indexes", fields, "must be a list of fields for each namespace")
        for field in fields:
            if len(check_name("field", field)) > ShortKey.length:
                raise InvalidInput(
                    "field", field, f"must have at most {ShortKey.length} characters"
                )
        names = tuple(dict.fromkeys(fields))
        text = "\n".join(sorted(names))
        mark = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        declared[namespace] = Declared(names, mark if names else UNMARKED)
    return declared


def entry(value: Any) -> tuple[float | None, str | None]:
    """Return the number and the text that stand for a value; both None if it has no order."""
    if isinstance(value, bool):
        return None, f"{_NEXT}{value}"
    text = _start(value) if isinstance(value, str) else None
    ms = epoch_ms(value)
    return None if ms is None else _double(ms), text


def is_exact(column: str, value: Any) -> bool:
    """Whether only equal values have this number, or text, in their rows."""
    if column == "number":
        return bool(abs(value) < EXACT)
    return bool(len(value) < ShortKey.length and _NEXT not in value)


def conditions(query: Query, declared: Declared) -> list[Condition]:
    """Return what rows must meet, as far as declared fields are asked for."""
    found = []
    for field, value in query.filter.items():
        number, text = entry(value)
        if field in declared.fields and text is not None:
            found.append(Condition(field, "text", operator.eq, text))
        elif field in declared.fields and number is not None:
            found.append(Condition(field, "number", operator.eq, number))
    for where in query.where:
        number, text = entry(where.value)
        if where.field not in declared.fields or where.op not in _BOUNDS:
            continue
        compare = _BOUNDS[where.op]
        if text is None and number is not None:
            found.append(Condition(where.field, "number", compare, number))
        elif text is not None and number is None and not isinstance(where.value, bool):
            found.append(Condition(where.field, "text", compare, text))
    return found


def met_elsewhere(
    tx: Tx, document: ColumnElement[int], others: Sequence[Condition]
) -> Iterator[ColumnElement[bool]]:
    """Return that a document has rows that meet `others`; each is found by its key."""
    for condition in others:
        row = tx.tables.fields.alias()
        yield exists().where(
            row.c.document == document, row.c.field == condition.field, condition.met(row)
        )


def unmarked(
    tx: Tx, namespace: str, declared: Declared, *columns: ColumnElement[Any]
) -> CompoundSelect[Any]:
    """Select the documents whose rows were written by somebody who declares something else."""
    documents = tx.tables.documents
    every = select(*columns).where(documents.c.namespace == namespace)
    # Two selections: with an OR in one, a planner may read all there is.
    return union_all(
        every.where(documents.c.indexed < declared.mark),
        every.where(documents.c.indexed > declared.mark),
    )


def write_down(
    tx: Tx, namespace: str, declared: Declared, saved: Sequence[tuple[Row[Any], Document]]
) -> None:
    """Write the declared fields of documents, which are locked, in place of those before."""
    forget(tx, [row.seq for row, _ in saved])
    names = ("document", "field", "namespace", "number", "text", "record_time")
    rows = [
        [row.seq, field, namespace, number, text, row.record_time]
        for row, document in saved
        for field, number, text in _entries(declared, document)
    ]
    if rows:
        tx.dialect.insert_many(tx, tx.tables.fields, names, rows, timed=())


def forget(tx: Tx, seqs: Sequence[int]) -> None:
    """Delete the rows of documents."""
    fields = tx.tables.fields
    tx.conn.execute(delete(fields).where(fields.c.document.in_(seqs)))


def _entries(declared: Declared, document: Document) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(document, dict):
        for field in declared.fields:
            number, text = entry(document.get(field))
            if number is not None or text is not None:
                yield field, number, text


def _start(text: str) -> str:
    # A NUL, which some databases refuse, ends it: there the next character stands for the rest.
    start, nul, _ = text.partition("\0")
    return (start + _NEXT if nul else start)[: ShortKey.length]


def _double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return sys.float_info.max if number > 0 else -sys.float_info.max
