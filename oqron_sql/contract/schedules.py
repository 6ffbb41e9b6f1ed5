"""A series of jobs, and what becomes of it: plain values, whatever store keeps them.

Each function takes a schedule as it is and the store's now, and returns it as it is to be. A store
reads, asks one of them, and writes, under the schedule's version.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from oqron_sql.contract.checks import check_name
from oqron_sql.contract.cron import parse_cron
from oqron_sql.contract.model import Job
from oqron_sql.contract.newjob import new_job
from oqron_sql.contract.options import DEFAULT_OPTIONS, SHORTEST, JobOptions, Repeat
from oqron_sql.errors import InvalidInput
from oqron_sql.hiding import hiding

T = TypeVar("T")

CatchUp = Literal["latest", "all", "none"]
"""What becomes of slots that nobody was there for: the newest is made up for, all are, or none."""

KEY_LENGTH = 200
"""Of a schedule's key; with a slot behind it, it is the id of a job."""
LATE = timedelta(minutes=1)
"""A slot that is found later than this was missed, where none is made up for."""
_RESOLUTION = timedelta(microseconds=1)
_SLOT = re.compile(r"@(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z)\Z")
_UNFIT = ("delay", "job_id", "repeat")


@hiding("data", "error")
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A series of jobs: which they are, when they are due, and how far it has come.

    `key` names it within its queue. At each slot, an instant that `repeat` names, a job is saved
    with this `name`, `data` and `opts`, and with an id that key and slot make: `slot_id`. How it
    ends does not matter to the series.

    The rest is the store's: `fired` counts the jobs, `last_slot` is the newest slot with one, and
    `next_slot` the one that is due next, None when it is paused or over. An interval is counted
    from `anchor`. Every change counts `version` up. `error` says why a stored one cannot be read by
    this process, as one in a time zone that is not known here: it is shown as far as it can be, and
    may be paused and removed, and others fire it.
    """

    queue_name: str
    key: str
    name: str
    repeat: Repeat
    data: Any = None
    opts: JobOptions = DEFAULT_OPTIONS
    catchup: CatchUp = "latest"
    paused: bool = False
    fired: int = 0
    anchor: datetime | None = None
    last_slot: datetime | None = None
    next_slot: datetime | None = None
    version: int = 0
    error: str | None = None

    def __post_init__(self) -> None:
        check_name("queue_name", self.queue_name)
        check_name("name", self.name)
        if len(check_name("key", self.key)) > KEY_LENGTH:
            raise InvalidInput("key", self.key, f"must have 1 to {KEY_LENGTH} characters")
        if not isinstance(self.repeat, Repeat):
            raise InvalidInput("repeat", self.repeat, "must be a Repeat")
        if self.catchup not in get_args(CatchUp):
            raise InvalidInput("catchup", self.catchup, "must be latest, all or none")
        for field in _UNFIT:
            if getattr(self.opts, field) is not None:
                value = getattr(self.opts, field)
                raise InvalidInput(field, value, "cannot be asked of the jobs of a schedule")
        if self.opts.group is not None and self.opts.group.max_size is not None:
            # A full group would hold up the schedules beside it.
            size = self.opts.group.max_size
            raise InvalidInput("group.max_size", size, "cannot be asked of the jobs of a schedule")

    @property
    def over(self) -> bool:
        """Whether no slot is left."""
        return self.next_slot is None and not self.paused


def unreadable(error: str, repeat: Mapping[str, Any], rest: Mapping[str, Any]) -> Schedule:
    """Return a stored schedule with what is known of it, unchecked, and what is wrong with it."""
    catchup = rest["catchup"] if rest["catchup"] in get_args(CatchUp) else "latest"
    known = {**rest, "catchup": catchup, "repeat": _unchecked(Repeat, repeat), "error": error}
    return _unchecked(Schedule, known)


def _unchecked(kind: type[T], members: Mapping[str, Any]) -> T:
    made = object.__new__(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # both are dataclasses
        object.__setattr__(made, field.name, members.get(field.name, field.default))
    return made


class Fired(NamedTuple):
    """A slot whose job was saved, or stands for it."""

    key: str
    slot: datetime
    job_id: str


def slot_id(key: str, slot: datetime) -> str:
    """Return the id of the job of a slot: there is one, whoever saves it, however often."""
    return f"{key}@{slot.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def slot_of(job_id: str) -> datetime | None:
    """Return the slot that `slot_id` made an id of, None for any other id."""
    found = _SLOT.search(job_id)
    try:
        return None if found is None else datetime.fromisoformat(found[1])
    except ValueError:
        return None


def job_at(schedule: Schedule, slot: datetime) -> Job:
    """Return the unsaved job of a slot."""
    opts = dataclasses.replace(schedule.opts, job_id=slot_id(schedule.key, slot))
    return new_job(schedule.queue_name, schedule.name, schedule.data, opts)


def slot_after(repeat: Repeat, anchor: datetime, instant: datetime) -> datetime | None:
    """Return the first slot after `instant`, None if there is none; an end is no slot any more."""
    if repeat.start is not None and instant < repeat.start:
        instant = repeat.start - _RESOLUTION  # which is a slot itself, if the pattern has it
    slot: datetime | None
    if repeat.every is None:
        slot = parse_cron(repeat.cron or "", repeat.tz).after(instant)
    else:
        try:
            slot = anchor + ((instant - anchor) // repeat.every + 1) * repeat.every
        except OverflowError:  # the calendar ends
            return None
    ended = slot is None or (repeat.end is not None and slot >= repeat.end)
    return None if ended else slot


def newest_slot(repeat: Repeat, anchor: datetime, known: datetime, now: datetime) -> datetime:
    """Return the newest slot that is due at `now`; `known` is one, however old."""

    def due_after(instant: datetime) -> datetime | None:
        found = slot_after(repeat, anchor, instant)
        return None if found is None or found > now else found

    low, high = known, now
    if due_after(low) is None:  # as it is nearly always
        return low
    while high - low > SHORTEST:
        half = low + (high - low) / 2
        found = due_after(half)
        if found is None:
            high = half
        else:
            low = found
    return due_after(low) or low


def begun(schedule: Schedule, now: datetime) -> Schedule:
    """Return a new series: it begins at its start, or with the first slot from now on."""
    return _changed(
        schedule,
        anchor=schedule.repeat.start or now,
        fired=0,
        last_slot=None,
        next_slot=_next(schedule, schedule.repeat.start or now, now),
    )


def renewed(schedule: Schedule, given: Schedule, now: datetime) -> Schedule:
    """Return the series as it was put once more.

    It goes on where it is: what it has fired, what is due next, whether it is paused. With another
    pattern (cron, every, time zone or start) it is a new series.
    """
    known = dataclasses.replace(given, paused=schedule.paused, version=schedule.version)
    if _pattern(schedule.repeat) != _pattern(given.repeat):
        return begun(known, now)
    kept = dataclasses.replace(
        known, fired=schedule.fired, anchor=schedule.anchor, last_slot=schedule.last_slot
    )
    due = schedule.next_slot
    end = given.repeat.end
    if due is None or (end is not None and due >= end) or _spent(kept):
        return _changed(kept, next_slot=_next(kept, _anchor(kept), _since(kept, now)))
    return _changed(kept, next_slot=due)


def held(schedule: Schedule) -> Schedule:
    """Return the series paused."""
    return _changed(schedule, paused=True, next_slot=None)


def resumed(schedule: Schedule, now: datetime) -> Schedule:
    """Return the series going on, with the first slot from now on."""
    going = dataclasses.replace(schedule, paused=False)
    return _changed(going, next_slot=_next(going, _anchor(going), _since(going, now)))


def turned(schedule: Schedule, now: datetime, room: int) -> tuple[list[datetime], Schedule]:
    """Return the slots to fire, up to `room` of them, and the series as it is then."""
    due = schedule.next_slot
    repeat, anchor = schedule.repeat, _anchor(schedule)
    slots: list[datetime] = []
    if due is not None and schedule.catchup != "all":
        newest = newest_slot(repeat, anchor, due, now)
        if schedule.catchup == "latest" or now - newest <= LATE:
            slots.append(newest)
        due = slot_after(repeat, anchor, newest)
    else:
        left = room if repeat.limit is None else min(room, repeat.limit - schedule.fired)
        while due is not None and due <= now and len(slots) < left:
            slots.append(due)
            due = slot_after(repeat, anchor, due)
    done = dataclasses.replace(
        schedule,
        fired=schedule.fired + len(slots),
        last_slot=slots[-1] if slots else schedule.last_slot,
    )
    return slots, _changed(done, next_slot=None if _spent(done) else due)


def _changed(schedule: Schedule, **members: Any) -> Schedule:
    return dataclasses.replace(schedule, version=schedule.version + 1, **members)


def _next(schedule: Schedule, anchor: datetime, since: datetime) -> datetime | None:
    if schedule.paused or _spent(schedule):
        return None
    return slot_after(schedule.repeat, anchor, since)


def _spent(schedule: Schedule) -> bool:
    limit = schedule.repeat.limit
    return limit is not None and schedule.fired >= limit


def _since(schedule: Schedule, now: datetime) -> datetime:
    """Return the instant after which the next slot is: a clock that was set back repeats none."""
    return now if schedule.last_slot is None else max(now, schedule.last_slot)


def _anchor(schedule: Schedule) -> datetime:
    if schedule.anchor is None:
        raise InvalidInput("anchor", None, "is missing: no store has this schedule")
    return schedule.anchor


def _pattern(repeat: Repeat) -> tuple[Any, ...]:
    return repeat.cron, repeat.every, repeat.tz or "UTC", repeat.start
