"""The checks every store makes on names, instants and durations before it writes anything."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from oqron_sql.errors import InvalidInput, InvalidName, NaiveDatetime

NAME_LENGTH = 255
LARGEST_COUNT = 2**31 - 1
"""The largest number that every driver takes for a limit: whoever asks for more gets as many."""
_UNASKABLE = re.compile("[\x00\ud800-\udfff]")
_UNSOUND = re.compile("[\x00-\x1f\ud800-\udfff]")

C = TypeVar("C")


def check_name(field: str, value: object) -> str:
    """Return `value` if every database can store it and compare it byte for byte.

    A name has 1 to 255 characters, no control characters and no lone surrogates.

    Raises:
        InvalidName: it is not such a string.
    """
    if type(value) is str and 1 <= len(value) <= NAME_LENGTH and value.isprintable():
        return value  # quickly, as nearly every name
    if not isinstance(value, str):
        raise InvalidName(field, value, "must be a string")
    if not 1 <= len(value) <= NAME_LENGTH:
        raise InvalidName(field, value, f"must have 1 to {NAME_LENGTH} characters")
    if _UNSOUND.search(value):
        raise InvalidName(field, value, "must not contain control characters or lone surrogates")
    return value


def check_list(field: str, value: C) -> C:
    """Return `value` if it has many, and has them again when the operation is tried again.

    Raises:
        InvalidInput: it is one text, or something that can be gone through once, or not at all.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Collection):
        raise InvalidInput(field, type(value).__name__, "must be a list")
    return value


def check_own_queue(queue: str, given: str) -> None:
    """Refuse a job of another queue than the one a call is about.

    Raises:
        InvalidInput: it is one.
    """
    if given != queue:
        raise InvalidInput("queue_name", given, f"must be {queue!r}, the queue given")


def check_names(**names: object) -> None:
    """Check each of `names`, by its field.

    Raises:
        InvalidName: one of them is not a name.
    """
    for field, value in names.items():
        check_name(field, value)


def can_be_asked(text: str) -> bool:
    """Whether `text` can be asked of a database at all; what was saved never holds any other."""
    return not _UNASKABLE.search(text)


def meant(name: str, others: Iterable[str]) -> str:
    """Return what to say about a name that is none, if there is one like it."""
    close = difflib.get_close_matches(name, sorted(others), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def check_kind(field: str, value: object, kind: type, example: str) -> None:
    """Refuse what is not of a kind; `example` is one that is.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(value, kind):
        raise InvalidInput(field, value, f"must be a {kind.__name__}, as in {example}")


def check_finite(field: str, value: float) -> float:
    """Return `value` if it is a number, and not one that databases disagree on.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput(field, value, "must be a finite number")
    return value


def check_instant(field: str, value: datetime) -> datetime:
    """Return `value` if it says which instant it means.

    Raises:
        NaiveDatetime: it has no time zone.
        InvalidInput: it is not a datetime, or none in UTC.
    """
    if not isinstance(value, datetime):
        raise InvalidInput(field, value, "must be a datetime with a time zone")
    if value.utcoffset() is None:
        raise NaiveDatetime(field, value)
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(field, value, "must be within the calendar of UTC too") from None
    return value


def check_duration(field: str, value: timedelta, *, positive: bool = False) -> timedelta:
    """Return `value` if it is a span of time that is not negative (or zero, with `positive`).

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(value, timedelta):
        raise InvalidInput(field, value, "must be a timedelta")
    if value < timedelta(0) or (positive and not value):
        raise InvalidInput(field, value, "must be positive" if positive else "must not be negative")
    return value


def check_count(field: str, value: int, *, least: int = 0) -> int:
    """Return `value` if it is a whole number of at least `least`.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput(field, value, "must be a whole number")
    if value < least:
        raise InvalidInput(field, value, f"must be at least {least}")
    return value
