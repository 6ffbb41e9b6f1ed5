"""What documents mean to a storage: conditions, order, record time and changes.

Pure functions of documents as the codec reads them. A backend may let its database answer
instead, as long as the answer is the one given here.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, get_args

from oqron_sql.contract import codec
from oqron_sql.contract.adapters import Comparison, Document, Filter, OrderBy, Where
from oqron_sql.contract.checks import check_count, check_list, check_name, check_names
from oqron_sql.contract.comparing import EPOCH, compare, epoch_ms, equal, instant_of, is_number
from oqron_sql.errors import InvalidInput
from oqron_sql.hiding import hiding

COMPARISONS: Mapping[str, Callable[[int], bool]] = {
    "$lt": lambda order: order < 0,
    "$lte": lambda order: order <= 0,
    "$gt": lambda order: order > 0,
    "$gte": lambda order: order >= 0,
    "$ne": lambda order: order != 0,
}
if set(COMPARISONS) != set(get_args(Comparison)):
    raise AssertionError("a comparison has no meaning")
DIRECTIONS = ("asc", "desc")
TYPES = ("number", "date", "string", None)


R = TypeVar("R")


@hiding("filter")
@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """What is asked of `list` and `count`, checked; its values are as the codec would read them."""

    filter: Mapping[str, Any]
    where: tuple[Where, ...] = ()
    order_by: OrderBy | None = None
    limit: int | None = None
    offset: int = 0

    def matches(self, document: Document) -> bool:
        """Whether the document is one of those asked for."""
        if not self.filter and not self.where:
            return True
        if not isinstance(document, dict):
            return False
        return _has(document, self.filter) and all(_meets(document, each) for each in self.where)

    def key(self, document: Document) -> Any:
        """Return what the document is put in order by; None if that is nothing, and it comes last.

        Without a type it is a pair: 0 and a number, or 1 and a text.
        """
        return None if self.order_by is None else _sort_key(document, self.order_by)

    def arrange(self, rows: Iterable[R], read: Callable[[R], Document]) -> list[R]:
        """Return the page that was asked for of `rows`, which match and stand in default order.

        `read` returns the document of a row.
        """
        rows = list(rows)
        if self.order_by is not None:
            keys = [_sort_key(read(row), self.order_by) for row in rows]
            sorted_rows = sorted(
                ((key, row) for key, row in zip(keys, rows, strict=True) if key is not None),
                key=operator.itemgetter(0),
                reverse=self.order_by.direction == "desc",  # which leaves ties as they stand
            )
            unsorted = [row for key, row in zip(keys, rows, strict=True) if key is None]
            rows = [row for _, row in sorted_rows] + unsorted
        stop = None if self.limit is None else self.offset + self.limit
        return rows[self.offset : stop]


def check_query(
    filter: Filter | None = None,
    where: Sequence[Where] = (),
    order_by: OrderBy | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Query:
    """Return what is asked for.

    Raises:
        InvalidInput: an unknown operator, direction or type, a negative limit or offset.
        PayloadError: a value to compare with is none that JSON can carry.
    """
    for condition in check_list("where", where):
        if not isinstance(condition, Where):
            raise InvalidInput("where", condition, "must be conditions like Where('n', '$gt', 1)")
        if condition.op not in COMPARISONS:
            raise InvalidInput("op", condition.op, f"must be one of {', '.join(COMPARISONS)}")
    if order_by is not None:
        if not isinstance(order_by, OrderBy):
            raise InvalidInput("order_by", order_by, "must be an order like OrderBy('n', 'desc')")
        check_field(order_by.field)
        if order_by.direction not in DIRECTIONS:
            raise InvalidInput("direction", order_by.direction, 'must be "asc" or "desc"')
        if order_by.type not in TYPES:
            raise InvalidInput("type", order_by.type, 'must be "number", "date", "string" or None')
    if limit is not None:
        check_count("limit", limit)
    return Query(
        check_fields("filter", {} if filter is None else filter),
        tuple(
            dataclasses.replace(each, field=check_field(each.field), value=_as_read(each.value))
            for each in where
        ),
        order_by,
        limit,
        check_count("offset", offset),
    )


def check_ids(namespace: str, ids: Sequence[str]) -> Sequence[str]:
    """Return `ids` if they, and the namespace, can be names.

    Raises:
        InvalidInput: one is no name, or they are no list.
    """
    check_names(namespace=namespace)
    for each in check_list("ids", ids):
        check_name("id", each)
    return ids


def check_records(
    namespace: str, records: Sequence[tuple[str, Document]]
) -> Sequence[tuple[str, Document]]:
    """Return `records` if they are pairs of an id and a document.

    Raises:
        InvalidInput: they are not, or a name is none.
    """
    for record in check_list("records", records):
        if not isinstance(record, tuple | list) or len(record) != 2:
            raise InvalidInput("records", type(record).__name__, "must be pairs (id, document)")
    check_ids(namespace, [each for each, _ in records])
    return records


def check_field(field: str) -> str:
    """Return `field` if it can be a key at the top of a document: any text that JSON can carry.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(field, str):
        raise InvalidInput("field", field, "must be a string")
    codec.dumps(field)
    return field


def check_fields(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields and values (a filter, what is expected, a patch) as the codec reads them.

    Raises:
        InvalidInput: it is no mapping.
        PayloadError: JSON cannot carry a value.
    """
    if not isinstance(fields, Mapping):
        raise InvalidInput(name, type(fields).__name__, "must be a mapping of fields to values")
    for field in fields:
        check_field(field)
    return {field: _as_read(value) for field, value in fields.items()}


def record_time(document: Document) -> datetime | None:
    """Return the record time that the document states, in UTC; None if it states none.

    It is the first of `createdAt` and `expiresAt` that is an instant within the calendar.
    """
    if isinstance(document, dict):
        for field in ("createdAt", "expiresAt"):
            value = document.get(field)
            instant = instant_of(value)
            try:
                if instant is not None:
                    return instant.astimezone(UTC)
                if is_number(value):
                    return EPOCH + timedelta(milliseconds=value)
            except OverflowError:
                continue
    return None


def increment(document: Document, field: str, by: float) -> tuple[dict[str, Any], float]:
    """Return the document with `by` added to a field, and the sum; a missing document is `{}`.

    Raises:
        InvalidInput: the field holds no number, the document no fields, or the sum is none.
    """
    if not is_number(by) or (isinstance(by, float) and not math.isfinite(by)):
        raise InvalidInput("by", by, "must be a finite number")
    if not isinstance(document, dict):
        raise InvalidInput("field", check_field(field), "the document has no fields")
    held = document.get(field, 0)
    if not is_number(held):
        raise InvalidInput("field", field, "holds no number")
    if isinstance(held, int) and isinstance(by, float) and by.is_integer():
        by = int(by)
    try:
        total = held + by
        finite = isinstance(total, int) or math.isfinite(total)
    except OverflowError:  # a whole number that no float is as large as
        finite = False
    if not finite:
        raise InvalidInput("by", by, "makes a sum that is too large")
    return {**document, check_field(field): total}, total


def patched(
    document: Document, expected: Mapping[str, Any], patch: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the document with the fields of `patch`, or None if not all of `expected` are equal.

    Both mappings are as `check_fields` returns them.
    """
    if not isinstance(document, dict) or not _has(document, expected):
        return None
    return {**document, **patch}


def _has(document: dict[str, Any], fields: Mapping[str, Any]) -> bool:
    return all(
        field in document and equal(document[field], value) for field, value in fields.items()
    )


def _meets(document: dict[str, Any], condition: Where) -> bool:
    order = compare(document.get(condition.field), condition.value)
    return order is not None and COMPARISONS[condition.op](order)


def _sort_key(document: Document, order_by: OrderBy) -> Any:
    """Return what to sort a document by; None if it has nothing of the type."""
    value = document.get(order_by.field) if isinstance(document, dict) else None
    match order_by.type:
        case "number":
            return value if is_number(value) else None
        case "string":
            return value if isinstance(value, str) else None
        case "date":
            return epoch_ms(value)
    if isinstance(value, str):
        return 1, value
    ms = epoch_ms(value)
    return None if ms is None else (0, ms)


def _as_read(value: Any) -> Any:
    return codec.loads(codec.dumps(value))
