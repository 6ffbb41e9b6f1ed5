"""How things are named in Redis: readable, and such that no two names meet."""

from __future__ import annotations

from datetime import timedelta

# What is between braces decides the slot of a key in a cluster, so that a name must bring none.
_ESCAPES = str.maketrans({"%": "%25", "{": "%7B", "}": "%7D"})
_MICROSECOND = timedelta(microseconds=1)
_FOREVER = 10**17


def base(prefix: str, kind: str, name: str) -> str:
    """Return what the keys of one thing begin with; all of them are in one slot of a cluster.

    The name is between the only braces, so that it may have colons: base("oqron", "broker",
    "acme:live:mail") is "oqron:broker:{acme:live:mail}".
    """
    return f"{prefix}:{kind}:{{{name.translate(_ESCAPES)}}}"


def channel(prefix: str, name: str) -> str:
    """Return the channel that messages to subscribers go over."""
    return f"{prefix}:channel:{name}"


def micros(span: timedelta) -> int:
    """Return a span in whole microseconds, 3,000 years at most: scripts count with doubles."""
    return min(span // _MICROSECOND, _FOREVER)


def text(value: bytes | str) -> str:
    """Return what a client read as text, whether or not it decodes replies itself."""
    return value if isinstance(value, str) else value.decode()
