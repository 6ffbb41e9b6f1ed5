"""What becomes of a schedule, as values: no store, no clock."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oqron_sql.contract import JobOptions, Repeat, Schedule
from oqron_sql.contract import schedules as series
from oqron_sql.contract.options import Group
from oqron_sql.errors import InvalidInput, InvalidName, NaiveDatetime

# A machine that is busy is no fault of the code.
PATIENT: Any = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
NOW = datetime(2024, 3, 30, 12, 0, 0, 123_000, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def schedule(catchup: Any = "latest", **repeat: Any) -> Schedule:
    pattern = repeat if "cron" in repeat else {"every": HOUR, **repeat}
    made = Schedule(queue_name="q", key="k", name="job", repeat=Repeat(**pattern), catchup=catchup)
    return series.begun(made, NOW)


def drained(one: Schedule, now: datetime, room: int = 100) -> tuple[list[datetime], Schedule]:
    """Fire until nothing is due."""
    slots: list[datetime] = []
    while one.next_slot is not None and one.next_slot <= now:
        some, one = series.turned(one, now, room)
        slots += some
    return slots, one


def test_an_interval_begins_one_interval_from_now() -> None:
    one = schedule()
    assert one.next_slot == NOW + HOUR
    assert drained(one, NOW + HOUR)[0] == [NOW + HOUR]


def test_an_interval_is_counted_from_its_start() -> None:
    assert schedule(start=NOW + DAY).next_slot == NOW + DAY
    assert schedule(start=NOW - 90 * MINUTE).next_slot == NOW + 30 * MINUTE


def test_a_cron_expression_waits_for_its_start() -> None:
    start = datetime(2024, 4, 1, tzinfo=UTC)
    assert schedule(cron="@daily", start=start).next_slot == start
    assert schedule(cron="@daily", start=start + SECOND).next_slot == start + DAY


def test_an_end_is_no_slot() -> None:
    one = schedule(end=NOW + 3 * HOUR, catchup="all")
    slots, one = drained(one, NOW + DAY)
    assert slots == [NOW + HOUR, NOW + 2 * HOUR]
    assert one.over


@pytest.mark.parametrize("catchup", ["latest", "all", "none"])
def test_a_limit_is_exact(catchup: str) -> None:
    one, slots = schedule(catchup, limit=3), []
    for hour in range(1, 9):
        some, one = drained(one, NOW + hour * HOUR)
        slots += some
    assert slots == [NOW + hour * HOUR for hour in (1, 2, 3)]
    assert (one.fired, one.over) == (3, True)


def test_a_limit_is_exact_when_all_is_made_up_for() -> None:
    slots, one = drained(schedule("all", limit=5), NOW + DAY, room=3)
    assert len(slots) == one.fired == 5
    assert one.over


def test_all_is_made_up_for_in_portions() -> None:
    one = schedule("all")
    some, one = series.turned(one, NOW + DAY, 10)
    assert some == [NOW + hour * HOUR for hour in range(1, 11)]
    assert one.next_slot == NOW + 11 * HOUR
    rest, one = drained(one, NOW + DAY)
    assert (len(rest), one.next_slot) == (14, NOW + 25 * HOUR)


def test_the_newest_is_made_up_for() -> None:
    slots, one = drained(schedule(), NOW + DAY + MINUTE)
    assert (slots, one.next_slot, one.fired) == ([NOW + DAY], NOW + 25 * HOUR, 1)


def test_none_is_made_up_for() -> None:
    slots, one = drained(schedule("none"), NOW + DAY + MINUTE + SECOND)
    assert (slots, one.next_slot, one.fired, one.last_slot) == ([], NOW + 25 * HOUR, 0, None)
    slots, one = drained(one, NOW + 25 * HOUR + SECOND)
    assert slots == [NOW + 25 * HOUR]


def test_years_of_seconds_are_no_work() -> None:
    one = schedule(cron="* * * * * *")
    slots, _ = drained(one, NOW + 3000 * DAY)
    assert slots == [NOW.replace(microsecond=0) + 3000 * DAY]


def test_putting_it_again_changes_nothing_but_the_job() -> None:
    _, one = drained(schedule(limit=9), NOW + HOUR)
    again = dataclasses.replace(one, name="other", data=5, fired=0, next_slot=None, anchor=None)
    made = series.renewed(one, again, NOW + 5 * HOUR)
    assert made == dataclasses.replace(one, name="other", data=5, version=one.version + 1)


@pytest.mark.parametrize(
    "pattern",
    [{"every": DAY}, {"cron": "@daily"}, {"every": HOUR, "start": NOW + DAY}],
)
def test_another_pattern_is_a_new_series(pattern: dict[str, Any]) -> None:
    _, one = drained(schedule(), NOW + HOUR)
    made = series.renewed(one, dataclasses.replace(one, repeat=Repeat(**pattern)), NOW + HOUR)
    assert (made.fired, made.last_slot, made.version) == (0, None, one.version + 1)
    assert made.next_slot is not None
    assert made.next_slot > NOW + HOUR


def test_bounds_can_be_moved() -> None:
    _, one = drained(schedule(limit=2), NOW + 2 * HOUR)
    _, one = drained(one, NOW + 3 * HOUR)
    assert one.over
    more = dataclasses.replace(one, repeat=Repeat(every=HOUR, limit=3))
    one = series.renewed(one, more, NOW + 5 * HOUR)
    assert (one.fired, one.next_slot) == (2, NOW + 6 * HOUR)
    less = dataclasses.replace(one, repeat=Repeat(every=HOUR, end=NOW + 6 * HOUR))
    assert series.renewed(one, less, NOW + 5 * HOUR).over


def test_a_pause_is_no_downtime() -> None:
    one = series.held(schedule("all"))
    assert (one.next_slot, one.over) == (None, False)
    put = series.renewed(one, schedule("all"), NOW + HOUR)
    assert (put.paused, put.next_slot) == (True, None)
    assert series.resumed(put, NOW + 5 * HOUR).next_slot == NOW + 6 * HOUR


def test_a_clock_that_is_set_back_repeats_nothing() -> None:
    _, one = drained(schedule(), NOW + 3 * HOUR)
    one = series.resumed(series.held(one), NOW)
    assert one.next_slot == NOW + 4 * HOUR


def test_a_slot_makes_an_id() -> None:
    slot = datetime(2024, 3, 31, 3, tzinfo=UTC)
    assert series.slot_id("nightly", slot) == "nightly@2024-03-31T03:00:00Z"
    assert series.job_at(schedule(), NOW).id == "k@2024-03-30T12:00:00.123000Z"
    for key, at in (("k", NOW), ("a@2020-01-01T00:00:00Z", slot), ("\N{SNOWMAN}@", slot)):
        assert series.slot_of(series.slot_id(key, at)) == at


@pytest.mark.parametrize(
    "job_id", ["k", "k@", "k@2024-03-31", "2024-03-31T03:00:00Z", "k@2024-13-31T03:00:00Z", "k@Z\n"]
)
def test_other_ids_have_no_slot(job_id: str) -> None:
    assert series.slot_of(job_id) is None


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"key": ""}, "key"),
        ({"key": "k" * 201}, "1 to 200 characters"),
        ({"name": "n\n"}, "control characters"),
        ({"catchup": "some"}, "latest, all or none"),
        ({"repeat": {"every": HOUR}}, "must be a Repeat"),
        ({"opts": JobOptions(delay=HOUR)}, "delay"),
        ({"opts": JobOptions(job_id="x")}, "job_id"),
        ({"opts": JobOptions(repeat=Repeat(every=HOUR))}, "repeat"),
        ({"opts": JobOptions(group=Group(id="g", max_size=3))}, "max_size"),
    ],
)
def test_what_is_no_schedule(members: dict[str, Any], said: str) -> None:
    given = {"queue_name": "q", "key": "k", "name": "job", "repeat": Repeat(every=HOUR)}
    with pytest.raises((InvalidInput, InvalidName), match=said):
        Schedule(**{**given, **members})


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, "either cron or every"),
        ({"cron": "@daily", "every": HOUR}, "either cron or every"),
        ({"every": timedelta(milliseconds=999)}, "at least a second"),
        ({"every": timedelta(days=40_000)}, "at most a century"),
        ({"every": HOUR, "limit": 0}, "at least 1"),
        ({"every": HOUR, "limit": 2**63}, "64 bits"),
        ({"every": HOUR, "start": NOW.replace(year=1)}, "years 1970 to 9998"),
        ({"every": HOUR, "end": NOW.replace(year=9999)}, "years 1970 to 9998"),
        ({"every": HOUR, "tz": "Mars"}, "IANA zone"),
        ({"cron": "@daily", "tz": "Mars"}, "IANA zone"),
        ({"cron": "never"}, "wrong number of fields"),
        ({"every": HOUR, "start": NOW, "end": NOW}, "after repeat.start"),
    ],
)
def test_what_is_no_pattern(members: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Repeat(**members)


def test_a_start_needs_a_zone() -> None:
    with pytest.raises(NaiveDatetime):
        Repeat(every=HOUR, start=datetime(2024, 1, 1))


patterns = st.one_of(
    st.builds(Repeat, every=st.timedeltas(SECOND, 3 * DAY)),
    st.builds(
        Repeat,
        cron=st.sampled_from(
            ["@daily", "*/5 * * * *", "*/10 * * * * *", "30 2 * * *", "0 0 L * *"]
        ),
        tz=st.sampled_from(["UTC", "Europe/Vienna"]),
    ),
)


@settings(max_examples=100, **PATIENT)
@given(patterns, st.timedeltas(timedelta(0), 2 * DAY))
def test_the_newest_slot_is_the_last_of_all(repeat: Repeat, passed: timedelta) -> None:
    first = series.slot_after(repeat, NOW, NOW)
    assert first is not None
    now = first + min(passed, 300 * (repeat.every or 10 * SECOND))
    slot, newest = series.slot_after(repeat, NOW, first), first
    while slot is not None and slot <= now:
        newest, slot = slot, series.slot_after(repeat, NOW, slot)
    assert series.newest_slot(repeat, NOW, first, now) == newest
