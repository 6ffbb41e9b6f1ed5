"""A schedule as a row, and back: as far as it can be read here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row

from oqron_sql.contract import codec
from oqron_sql.contract.options import Repeat
from oqron_sql.contract.schedules import Schedule, unreadable
from oqron_sql.errors import InvalidInput
from oqron_sql.queries.options import dump_options, load_options
from oqron_sql.queries.tx import Tx

_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = (
    "queue_name", "schedule_key", "job_name", "cron", "every_us", "tz", "start_at", "end_at",
    "most", "catchup", "paused", "fired", "anchor", "last_slot", "next_slot", "version", "opts",
    "data",
)  # fmt: skip


def schedule_columns(tx: Tx) -> Sequence[ColumnElement[Any]]:
    """Return the columns, by name: a later one does no harm."""
    return [tx.tables.schedules.c[name] for name in _COLUMNS]


def row_of_schedule(schedule: Schedule) -> dict[str, Any]:
    """Return the members of a schedule as columns, but for its data."""
    repeat = schedule.repeat
    return {
        "queue_name": schedule.queue_name,
        "schedule_key": schedule.key,
        "job_name": schedule.name,
        "cron": repeat.cron,
        "every_us": None if repeat.every is None else repeat.every // _MICROSECOND,
        "tz": repeat.tz,
        "start_at": repeat.start,
        "end_at": repeat.end,
        "most": repeat.limit,
        "catchup": schedule.catchup,
        "paused": schedule.paused,
        "fired": schedule.fired,
        "anchor": schedule.anchor,
        "last_slot": schedule.last_slot,
        "next_slot": schedule.next_slot,
        "version": schedule.version,
        "opts": dump_options(schedule.opts),
    }


def schedule_from_row(row: Row[Any]) -> Schedule:
    """Return the schedule of a row; one that cannot be read here says so, and hides no other.

    It may be that of a newer version, or in a time zone that this machine does not know.
    """
    repeat = {
        "cron": row.cron,
        "every": None if row.every_us is None else row.every_us * _MICROSECOND,
        "limit": row.most,
        "start": row.start_at,
        "end": row.end_at,
        "tz": row.tz,
    }
    rest = {
        "queue_name": row.queue_name,
        "key": row.schedule_key,
        "name": row.job_name,
        "catchup": row.catchup,
        "paused": bool(row.paused),
        "fired": row.fired,
        "anchor": row.anchor,
        "last_slot": row.last_slot,
        "next_slot": row.next_slot,
        "version": row.version,
    }
    try:
        opts, data = load_options(row.opts), _load(row.data)
        return Schedule(repeat=Repeat(**repeat), opts=opts, data=data, **rest)
    except (ValueError, TypeError, KeyError) as error:
        return unreadable(f"{error}", repeat, rest)


def _load(text: str) -> Any:
    try:
        return codec.loads(text)
    except ValueError:
        # Which says what it could not read, and so what somebody wants to keep to himself.
        raise InvalidInput("data", None, "cannot be read") from None
