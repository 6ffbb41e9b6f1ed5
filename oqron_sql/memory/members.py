"""How each member of a job is checked and stored, whether it is saved or updated."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from oqron_sql.contract import codec
from oqron_sql.contract.checks import check_count, check_instant, check_name
from oqron_sql.contract.model import UPDATABLE, AttemptRecord, JobState
from oqron_sql.contract.options import JobOptions
from oqron_sql.errors import InvalidInput

Check = Callable[[str, Any], Any]


def check_state(field: str, value: Any) -> JobState:
    """Return `value` as a state.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return JobState(value)
    except ValueError:
        raise InvalidInput(field, value, f"must be one of {', '.join(JobState)}") from None


def utc(field: str, value: datetime) -> datetime:
    """Return the instant in UTC.

    Raises:
        InvalidInput: it has no time zone, or is at the very end of the calendar.
    """
    try:
        return check_instant(field, value).astimezone(UTC)
    except OverflowError:
        raise InvalidInput(field, value, "must lie in the years 1 to 9999 in UTC") from None


def check_updates(updates: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to store for the members to update; payloads are left to the codec.

    Raises:
        InvalidInput: one of them cannot be updated, or its value cannot be stored.
    """
    for name in updates:
        if name not in UPDATABLE:
            close = difflib.get_close_matches(name, UPDATABLE, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidInput("updates", name, f"is not a member that can be updated{hint}")
    return {name: CHECKS[name](name, value) for name, value in updates.items() if name in CHECKS}


def _optional(check: Check) -> Check:
    return lambda field, value: None if value is None else check(field, value)


def _each(check: Check) -> Check:
    return lambda field, values: tuple(check(field, value) for value in values)


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(field, value, "must be a string")
    return codec.clean_text(value)


def _number(field: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput(field, value, "must be a finite number")
    return value


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(field, value, "must be True or False")
    return value


def _options(field: str, value: object) -> JobOptions:
    if not isinstance(value, JobOptions):
        raise InvalidInput(field, value, "must be JobOptions")
    return value


def _attempt(field: str, value: AttemptRecord) -> AttemptRecord:
    return dataclasses.replace(
        value,
        started_at=_optional(utc)(field, value.started_at),
        ended_at=_optional(utc)(field, value.ended_at),
        error=_optional(_text)(field, value.error),
        stacktrace=_optional(_text)(field, value.stacktrace),
        logs=_each(_text)(field, value.logs),
    )


CHECKS: dict[str, Check] = {
    "id": check_name,
    "name": check_name,
    "queue_name": check_name,
    "state": check_state,
    "attempts_made": check_count,
    "progress": _number,
    "failed_reason": _optional(_text),
    "opts": _options,
    "deduplication_key": _optional(check_name),
    "logs": _each(_text),
    "stacktrace": _each(_text),
    "attempt_logs": _each(_attempt),
    "created_at": _optional(utc),
    "processed_at": _optional(utc),
    "completed_at": _optional(utc),
    "failed_at": _optional(utc),
    "cancelled_at": _optional(utc),
    "delay_until": _optional(utc),
    "lock_until": _optional(utc),
    "locked_by": _optional(check_name),
    "parent_id": _optional(check_name),
    "parent_queue_name": _optional(check_name),
    "pending_children_count": check_count,
    "children_ids": _each(check_name),
    "group_id": _optional(check_name),
    "discarded": _flag,
    "lease": check_count,
    "lost_count": check_count,
}
