"""How things are named in Redis: readable, and such that no two names meet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from oqron_sql.errors import InvalidInput

# What is between braces decides the slot of a key in a cluster, so that a name must bring none.
_ESCAPES = str.maketrans({"%": "%25", "{": "%7B", "}": "%7D"})


def base(prefix: str, kind: str, name: str) -> str:
    """Return what the keys of one thing begin with; all of them are in one slot of a cluster.

    The name is between the only braces, so that it may have colons: base("oqron", "broker",
    "acme:live:mail") is "oqron:broker:{acme:live:mail}".
    """
    return f"{prefix}:{kind}:{{{name.translate(_ESCAPES)}}}"


def micros(span: timedelta) -> int:
    """Return a span in whole microseconds."""
    return span // timedelta(microseconds=1)


def from_now(field: str, span: timedelta) -> int:
    """Return a span in microseconds, if what begins now and lasts that long ends.

    Raises:
        InvalidInput: the calendar ends before.
    """
    try:
        datetime.now(UTC) + span
    except OverflowError:
        raise InvalidInput(field, span, "must end before the year 10000") from None
    return micros(span)


def text(value: bytes | str) -> str:
    """Return what a client read as text, whether or not it decodes replies itself."""
    return value if isinstance(value, str) else value.decode()
