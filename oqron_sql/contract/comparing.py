"""Values in documents: which are equal, which comes first, and which are instants."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)", re.ASCII
)


def equal(left: Any, right: Any) -> bool:
    """Whether two values are the same, deeply and with their types: 1 is 1.0, not "1" or True."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


def compare(left: Any, right: Any) -> int | None:
    """Return a negative number, zero or a positive one; None if the two cannot be compared."""
    if isinstance(left, datetime) or isinstance(right, datetime):
        left, right = epoch_ms(left), epoch_ms(right)
        if left is None or right is None:
            return None
    elif not (is_number(left) and is_number(right)) and not (
        type(left) is type(right) and isinstance(left, str | bool)
    ):
        return None
    return int(left > right) - int(left < right)


def epoch_ms(value: Any) -> float | None:
    """Return the instant that a value of a document means, in epoch milliseconds, or None.

    Instants are datetimes, numbers, and ISO 8601 texts with a time zone, such as
    "2024-02-29T23:59:58.123Z".
    """
    if is_number(value):
        return value
    instant = instant_of(value)
    return None if instant is None else (instant - EPOCH) // timedelta(microseconds=1) / 1000


def instant_of(value: Any) -> datetime | None:
    """Return a datetime, or what an ISO 8601 text with a time zone means; else None."""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:  # there is no such day
            return None
    return value if isinstance(value, datetime) else None


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value is a number, which True is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
