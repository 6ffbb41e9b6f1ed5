"""One JSON codec in front of every backend: what goes in comes out the same everywhere.

Databases disagree on NaN, NUL, lone surrogates, big integers and key order, so none of them is
asked: values are stored as text that is made and read here. Accepted are None, booleans, numbers,
strings, lists, tuples (which come back as lists), dicts with string keys, and aware datetimes.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from oqron_sql.errors import PayloadError, PayloadTooLarge

MAX_BYTES = 1024 * 1024
UNLIMITED = sys.maxsize  # for what was measured before
MAX_DEPTH = 64
TAG = "$datetime"
_PLAIN = frozenset({str, int, bool, type(None)})


def _encoder() -> Callable[[Any], str]:
    """Return what makes JSON text; prepared once, where the standard encoder does it each time."""
    make = json.encoder.c_make_encoder  # type: ignore[attr-defined]  # None where there is no C
    if make is None:
        return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    text = json.encoder.encode_basestring
    no = False  # neither sorted keys, nor skipped ones, nor NaN
    encode = make(None, None, text, None, ":", ",", no, no, no)
    return lambda value: "".join(encode(value, 0))


_encode = _encoder()
_decode = json.JSONDecoder().raw_decode  # what is read was written here: no blanks around it


def dumps(value: Any, limit: int = MAX_BYTES) -> str:
    """Return the JSON text of `value`.

    Raises:
        PayloadError: JSON cannot carry the value faithfully.
        PayloadTooLarge: its text is longer than `limit` bytes of UTF-8.
    """
    if value is None:  # the return value of most handlers
        return "null"
    prepared = _prepare(value, "$", 0)
    try:
        text = _encode(prepared)
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise PayloadError("a string", "contains a lone surrogate") from None
    except ValueError as error:
        raise PayloadError("a number", f"cannot be written: {error}") from None
    if size > limit:
        raise PayloadTooLarge(size, limit)
    return text


def loads(text: str) -> Any:
    """Return the value that `dumps` made `text` of."""
    if '"$' in text:
        return json.loads(text, object_hook=_untag)
    return _decode(text)[0]


def clean_text(text: str, limit: int = 65_536) -> str:
    """Return `text` such that every database can store it: storing a failure never fails."""
    sound = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return sound if len(sound) <= limit else sound[: limit - 1] + "…"


def _prepare(value: Any, path: str, depth: int) -> Any:
    """Return `value` with dates tagged; copies only what it must change."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        if not math.isfinite(value):
            raise PayloadError(path, f"is {value}, which JSON does not have")
        return value
    if depth > MAX_DEPTH:
        raise PayloadError(path, f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        if kind is dict and _is_flat(value):
            return value
        for key in value:
            if not isinstance(key, str):
                raise PayloadError(path, f"has a key of type {type(key).__name__}; use strings")
        made = {
            k: v if type(v) in _PLAIN else _prepare(v, f"{path}.{k}", depth + 1)
            for k, v in value.items()
        }
        if len(made) == 1:
            (key,) = made
            if key.startswith("$"):  # so that nobody's data is taken for our tag
                return {"$" + key: made[key]}
        return made
    if isinstance(value, list | tuple):
        return [
            item if type(item) in _PLAIN else _prepare(item, f"{path}[{i}]", depth + 1)
            for i, item in enumerate(value)
        ]
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise PayloadError(path, "is a datetime without a time zone")
        try:
            return {TAG: value.astimezone(UTC).isoformat()}
        except OverflowError:
            raise PayloadError(path, "is a datetime beyond the calendar of UTC") from None
    if isinstance(value, str):  # an enum or other subclass: the plain string comes back
        return str.__str__(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _prepare(int(value) if isinstance(value, int) else float(value), path, depth)
    raise PayloadError(path, f"is a {kind.__name__}, which JSON does not have")


def _is_flat(value: dict[Any, Any]) -> bool:
    """Whether there is nothing to change in `value`, and nothing to look into: most payloads."""
    for key, item in value.items():
        if type(key) is not str or type(item) not in _PLAIN:
            return False
    return len(value) != 1 or not next(iter(value)).startswith("$")


def _untag(found: dict[str, Any]) -> Any:
    if len(found) == 1:
        ((key, value),) = found.items()
        if key == TAG:
            return datetime.fromisoformat(value)
        if key.startswith("$$"):
            return {key[1:]: value}
    return found
