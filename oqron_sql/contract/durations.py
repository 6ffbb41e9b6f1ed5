"""Spans of time as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from oqron_sql.errors import InvalidInput

_UNITS = {
    "ms": 1, "millisecond": 1, "milliseconds": 1,
    "s": 1_000, "second": 1_000, "seconds": 1_000,
    "m": 60_000, "minute": 60_000, "minutes": 60_000,
    "h": 3_600_000, "hour": 3_600_000, "hours": 3_600_000,
    "d": 86_400_000, "day": 86_400_000, "days": 86_400_000,
    "w": 604_800_000, "week": 604_800_000, "weeks": 604_800_000,
}  # fmt: skip
_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


def parse_duration(value: timedelta | float | str, field: str = "duration") -> timedelta:
    """Return the span that a timedelta, a number of seconds or a text like "5 minutes" means.

    Texts are one number and one unit (ms, s, m, h, d, w or their English names), floored to the
    millisecond, as Conveyor's `parseDelay` reads them. `field` is what errors call it.

    Raises:
        InvalidInput: it is no span of time, or negative, or a text of another form.
    """
    try:
        span = _read(value, field)
    except OverflowError:
        raise InvalidInput(field, value, "must not be longer than a century") from None
    if span < timedelta(0):
        raise InvalidInput(field, value, "must not be negative")
    return span


def _read(value: timedelta | float | str, field: str) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        found = _TEXT.fullmatch(value.strip().lower())
        if not found or found[2] not in _UNITS:
            raise InvalidInput(field, value, 'must read like "1.5s", "10 minutes" or "2h"')
        return timedelta(milliseconds=int(float(found[1]) * _UNITS[found[2]]))
    try:
        return timedelta(seconds=value)
    except (TypeError, ValueError):  # the latter of NaN
        problem = 'must be a timedelta, seconds or a text like "5 minutes"'
        if isinstance(value, datetime):
            until = "due - datetime.now(UTC)"
            problem = f"an instant is not taken: give what is left until it, as in {until}"
        raise InvalidInput(field, value, problem) from None


def to_ms(span: timedelta) -> int:
    """Return `span` in whole milliseconds, rounded down."""
    return span // timedelta(milliseconds=1)


def time_until(instant: datetime | None, now: datetime) -> timedelta | None:
    """Return how long it is until `instant`, zero once it is over; None for None."""
    return None if instant is None else max(instant - now, timedelta(0))
