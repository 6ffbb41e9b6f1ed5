"""How schedules are shown: in a list without what their jobs carry, alone with all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from oqron_sql.cli.job_views import print_fields
from oqron_sql.cli.printing import new_console, print_json, print_table, say, show_instant
from oqron_sql.contract import Schedule

HEADINGS = ("key", "queue", "job", "when", "fired", "last", "next")
PRIVATE = frozenset({"data", "opts"})


def print_schedules(found: Sequence[Schedule], *, as_json: bool) -> None:
    """Print a list of schedules."""
    if as_json:
        print_json([_summary(schedule) for schedule in found])
        return
    console = new_console()
    if found:
        print_table(console, HEADINGS, [_row(schedule) for schedule in found])
    else:
        say(console, "There is no schedule.")


def print_schedule(schedule: Schedule, *, as_json: bool) -> None:
    """Print everything about a schedule."""
    if as_json:
        print_json(schedule)
    else:
        print_fields(schedule)


def _summary(schedule: Schedule) -> dict[str, Any]:
    names = (field.name for field in dataclasses.fields(schedule))
    return {name: getattr(schedule, name) for name in names if name not in PRIVATE}


def _row(schedule: Schedule) -> list[str | int]:
    limit = schedule.repeat.limit
    due = "over" if schedule.over else show_instant(schedule.next_slot)
    state = "paused" if schedule.paused else due
    return [
        schedule.key,
        schedule.queue_name,
        schedule.name,
        _when(schedule),
        f"{schedule.fired:,}" if limit is None else f"{schedule.fired:,} of {limit:,}",
        show_instant(schedule.last_slot),
        state if schedule.error is None else f"{state}; cannot be read here: {schedule.error}",
    ]


def _when(schedule: Schedule) -> str:
    repeat = schedule.repeat
    if repeat.cron is None:
        return f"every {repeat.every}"
    return f"{repeat.cron} {repeat.tz or 'UTC'}"
