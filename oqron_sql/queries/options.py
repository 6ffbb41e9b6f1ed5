"""Job options as JSON text: only what differs from the defaults, spans in milliseconds."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

from oqron_sql.contract import codec
from oqron_sql.contract.options import (
    DEFAULT_OPTIONS,
    Backoff,
    Deduplication,
    Group,
    JobOptions,
    Repeat,
    Retention,
)

_SPANS = ("delay", "timeout")
_KEPT = ("remove_on_complete", "remove_on_fail")
_PLAIN = ("attempts", "priority", "lifo", "job_id", "fail_parent_on_child_failure")
_NESTED: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "backoff": (Backoff, ("type", "delay", "strategy")),
    "repeat": (Repeat, ("cron", "every", "limit", "start", "end", "tz")),
    "deduplication": (Deduplication, ("key", "hash", "ttl")),
    "group": (Group, ("id", "max_size")),
}


def dump_options(opts: JobOptions) -> str | None:
    """Return `opts` as JSON text, None for the defaults."""
    if opts is DEFAULT_OPTIONS:
        return None
    made: dict[str, Any] = {}
    for field in (*_PLAIN, *_SPANS, *_KEPT):
        value = getattr(opts, field)
        if value != getattr(DEFAULT_OPTIONS, field) or type(value) is not type(
            getattr(DEFAULT_OPTIONS, field)
        ):
            made[field] = _dump(value)
    for field, (_, members) in _NESTED.items():
        part = getattr(opts, field)
        if part is not None:
            made[field] = {m: _dump(getattr(part, m)) for m in members}
    return codec.dumps(made) if made else None


def load_options(text: str | None) -> JobOptions:
    """Return the options that `dump_options` wrote."""
    return DEFAULT_OPTIONS if text is None else _load(text)


@functools.lru_cache(maxsize=1024)  # most jobs of a queue have the same options
def _load(text: str) -> JobOptions:
    found = codec.loads(text)
    for field, value in found.items():
        if field in _NESTED:
            kind, _ = _NESTED[field]
            found[field] = kind(**{m: _undump(v) for m, v in value.items()})
        else:
            found[field] = _undump(value)
    return JobOptions(**found)


def _dump(value: Any) -> Any:
    if isinstance(value, timedelta):
        return {"$us": value // timedelta(microseconds=1)}
    return value


def _undump(value: Any) -> Retention | Any:
    if isinstance(value, dict):
        return timedelta(microseconds=value["$us"])
    return value
