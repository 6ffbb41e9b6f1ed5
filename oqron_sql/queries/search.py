"""Which documents match: read by an index as far as there is one, and decided by the documents.

What is read is a superset of the page that is asked for: in an order that is right up to the ties
of an index, until nothing that comes later can belong to it. Then it is put in order as in memory.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select

from oqron_sql.contract import codec
from oqron_sql.contract.adapters import Document
from oqron_sql.contract.documents import Query
from oqron_sql.hiding import hiding
from oqron_sql.queries.fields import Declared, conditions, is_exact, met_elsewhere, unmarked
from oqron_sql.queries.tx import Tx

# So few are read at once and put in order here, rather than looked for along an order.
FEW = 1000
KEYS, DOCUMENTS, LEAST = 1000, 200, 20
# The columns that have the order of a type, ascending; descending they are turned round.
_COLUMNS = {
    None: ("number", "text"),
    "number": ("number",),
    "date": ("number",),
    "string": ("text",),
}


@hiding("document")
@dataclasses.dataclass(slots=True)
class Found:
    """A document that matches, and its place in the default order."""

    seq: int
    record_time: Any
    document: Document


class Search:
    """One search through a namespace."""

    def __init__(self, tx: Tx, namespace: str, query: Query) -> None:
        self._tx, self._namespace, self._query = tx, namespace, query
        self._enough = None if query.limit is None else query.offset + query.limit
        self._seen: dict[int, Found | None] = {}
        self._declared: Declared | None = tx.declared.get(namespace)
        self._conditions = conditions(query, self._declared) if self._declared else []

    def run(self) -> list[Found]:
        """Return what matches, in the default order, as far as it may belong to the page."""
        self._read()
        return self._in_default_order()

    def count(self) -> int:
        """Return how many match."""
        self._read()
        return len(self._in_default_order())

    # -- what to read ----------------------------------------------------------------------------

    def _read(self) -> None:
        order, declared = self._query.order_by, self._declared
        ordered = order is not None and declared is not None and order.field in declared.fields
        if declared is None or not (self._conditions or ordered):
            self._take(self._all(), stop=order is None)
            return
        for row in self._tx.conn.execute(
            unmarked(self._tx, self._namespace, declared, *_columns(self._tx))
        ):
            self._see(row)
        same = [each for each in self._conditions if each.equality]
        few = None if same == self._conditions[:1] and order is None else self._few()
        if few is not None:
            self._take(self._documents((None, seq) for seq in few), stop=False)
        elif ordered:
            self._read_in_order()
        elif same:
            wanted = self._of_value(same[0].field, same[0].column, same[0].value)
            self._take(self._documents(wanted), stop=order is None)
        else:
            self._take(self._all(marked=True), stop=order is None)

    def _take(self, rows: Iterable[tuple[Any, Row[Any]]], *, stop: bool, counted: int = 0) -> None:
        """Read rows; if they are in the default order, until there are enough for the page."""
        for _, row in rows:
            found = self._see(row)
            if found is not None and self._query.key(found.document) is None:
                counted += 1
            if stop and self._enough is not None and counted >= self._enough:
                return
            self._forget_superfluous()

    def _read_in_order(self) -> None:
        """Read along the order of a declared field, then what is not in it."""
        order = self._query.order_by
        if order is None:
            return
        columns, counted = _COLUMNS[order.type], 0
        for column in columns if order.direction == "asc" else reversed(columns):
            last: Any = None
            for value, row in self._documents(self._along(order.field, column)):
                full = self._enough is not None and counted >= self._enough
                # Of one value the newest come first; but several may look like one here.
                if full and (value != last or is_exact(column, value)):
                    return
                last = value
                found = self._see(row)
                counted += found is not None and self._stands_in(column, found.document)
        self._take(self._all(marked=True), stop=True, counted=counted)

    def _stands_in(self, column: str, document: Document) -> bool:
        """Whether this is the column by which a document is put in order."""
        key, order = self._query.key(document), self._query.order_by
        if key is None or order is None or order.type is not None:
            return key is not None
        return bool(_COLUMNS[None][key[0]] == column)

    # -- rows, which may match -------------------------------------------------------------------

    def _all(self, *, marked: bool = False) -> Iterator[tuple[Any, Row[Any]]]:
        """Return documents in the default order; if `marked`, those that meet the conditions."""
        documents = self._tx.tables.documents
        query = select(*_columns(self._tx)).where(documents.c.namespace == self._namespace)
        if marked and self._declared is not None:
            # Hidden from the planner, which is to go by age.
            mark = func.coalesce(documents.c.indexed, "")
            query = query.where(mark == self._declared.mark, *self._met(documents.c.seq))
        for row in self._newest_first(query, documents.c.record_time, documents.c.seq, DOCUMENTS):
            yield None, row

    def _documents(self, keys: Iterable[tuple[Any, int]]) -> Iterator[tuple[Any, Row[Any]]]:
        """Return documents by values and numbers, in that order."""
        documents, mark = self._tx.tables.documents, self._declared and self._declared.mark
        # Hidden from the planner, which is to go by the numbers.
        marked = func.coalesce(documents.c.indexed, "") == mark
        for chunk in _chunks(keys, next(self._sizes(DOCUMENTS))):
            query = select(*_columns(self._tx)).where(
                documents.c.seq.in_([seq for _, seq in chunk]), marked
            )
            found: dict[int, Any] = {row.seq: row for row in self._tx.conn.execute(query)}
            for value, seq in chunk:
                if seq in found:
                    yield value, found[seq]

    def _few(self) -> list[int] | None:
        """Return the documents that meet the conditions, if one of these is met by few."""
        for condition in self._conditions:
            rows = self._rows(condition.field, condition.column)
            found = self._tx.conn.scalars(rows.limit(FEW + 1)).all()
            if len(found) <= FEW:
                return list(found)
        return None

    def _along(self, field: str, column: str) -> Iterator[tuple[Any, int]]:
        """Return documents in the order of a field, those of one value in the default order."""
        fields, order = self._tx.tables.fields, self._query.order_by
        newest = order is not None and order.direction == "desc"
        value = fields.c[column]
        by = (value, fields.c.record_time, fields.c.document)
        query = self._rows(field, column).add_columns(value.label("value"))
        query = query.order_by(*(each.desc() if newest else each for each in by))
        after: Any = None
        for size in self._sizes(KEYS):
            beyond = [] if after is None else [value < after if newest else value > after]
            rows = self._tx.conn.execute(query.where(*beyond).limit(size)).all()
            cut = rows[-1].value if len(rows) == size else None
            for same, group in itertools.groupby(rows, lambda row: row.value):
                if same == cut:  # there may be more of them, which are newer
                    yield from self._of_value(field, column, same)
                    break
                seqs = [row.document for row in group]
                yield from ((same, seq) for seq in (seqs if newest else reversed(seqs)))
            if cut is None:
                return
            after = cut

    def _of_value(self, field: str, column: str, value: Any) -> Iterator[tuple[Any, int]]:
        """Return the documents with a value, in the default order."""
        fields = self._tx.tables.fields
        query = self._rows(field, column).where(fields.c[column] == value)
        query = query.add_columns(fields.c.record_time)
        for row in self._newest_first(query, fields.c.record_time, fields.c.document, KEYS):
            yield value, row.document

    def _newest_first(
        self, query: Select[Any], time: ColumnElement[Any], number: ColumnElement[Any], most: int
    ) -> Iterator[Row[Any]]:
        """Return the rows of a query in the default order, reading up to `most` at a time."""
        query = query.order_by(time.desc(), number.desc())
        beyond: list[ColumnElement[bool]] = []
        for size in self._sizes(most):
            rows: Any = self._tx.conn.execute(query.where(*beyond).limit(size)).all()
            yield from rows
            if len(rows) < size:
                return
            last_time, last = rows[-1].record_time, rows[-1][0]
            older = or_(time < last_time, and_(time == last_time, number < last))
            beyond = [time <= last_time, older]

    def _sizes(self, most: int) -> Iterator[int]:
        """Return how many to read, time after time: at first what will most likely do."""
        size = most if self._enough is None else min(most, max(self._enough + 1, LEAST))
        while True:
            yield size
            size = min(most, size * 4)

    def _rows(self, field: str, column: str) -> Select[Any]:
        """Select the documents that have a declared field and meet all conditions."""
        fields = self._tx.tables.fields
        return select(fields.c.document).where(
            fields.c.namespace == self._namespace,
            fields.c.field == field,
            fields.c[column].is_not(None),
            *(each.met(fields) for each in self._conditions if each.field == field),
            *self._met(fields.c.document, besides=field),
        )

    def _met(
        self, document: ColumnElement[int], besides: str | None = None
    ) -> Iterator[ColumnElement[bool]]:
        others = [each for each in self._conditions if each.field != besides]
        return met_elsewhere(self._tx, document, others)

    # -- what was read ---------------------------------------------------------------------------

    def _see(self, row: Row[Any]) -> Found | None:
        if row.seq not in self._seen:
            document = codec.loads(row.data)
            matches = self._query.matches(document)
            found = Found(row.seq, row.record_time, document) if matches else None
            self._seen[row.seq] = found
        return self._seen[row.seq]

    def _in_default_order(self) -> list[Found]:
        found = [each for each in self._seen.values() if each is not None]
        return sorted(found, key=lambda each: (each.record_time, each.seq), reverse=True)

    def _forget_superfluous(self) -> None:
        """Keep no more than what may belong to the page, where all there is has to be read."""
        if self._enough is None or len(self._seen) < 4 * self._enough + 2000:
            return
        first = dataclasses.replace(self._query, limit=self._enough, offset=0)
        kept = first.arrange(self._in_default_order(), lambda each: each.document)
        self._seen = {each.seq: each for each in kept}


def _columns(tx: Tx) -> tuple[ColumnElement[Any], ...]:
    documents = tx.tables.documents
    return documents.c.seq, documents.c.record_time, documents.c.data


def _chunks(keys: Iterable[tuple[Any, int]], size: int) -> Iterator[list[tuple[Any, int]]]:
    remaining = iter(keys)
    while chunk := list(itertools.islice(remaining, size)):
        yield chunk
