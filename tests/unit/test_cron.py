"""Cron: against a wall clock that is looked at second by second, and where clocks are changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from oqron_sql.contract.cron import Cron, parse_cron, parse_zone
from oqron_sql.errors import InvalidInput

# Half an hour; at midnight; both hemispheres; a day that was left out; none at all.
ZONES = [
    "Europe/Vienna",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "UTC",
]
# A machine that is busy is no fault of the code.
PATIENT: Any = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
FIXED = ["30 2 * * *", "0 0 * * *", "0,30 1-3 * * *", "15 2 * * SUN", "59 23 L * *"]
RUNNING = ["*/7 * * * *", "0 */2 * * *", "30 * * * *", "*/20 0-3 * * *", "*/15 1-3 * * *"]


def times(expression: str, tz: str, start: str, n: int) -> list[str]:
    """Return the next times, as the wall clock shows them."""
    cron, at, found = parse_cron(expression, tz), datetime.fromisoformat(start), []
    for _ in range(n):
        next_at = cron.after(at)
        assert next_at is not None
        at = next_at
        found.append(at.astimezone(cron.zone).isoformat(" ", "minutes"))
    return found


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 30 2 * * *"])
def test_a_fixed_time_that_is_skipped_comes_after_the_gap(expression: str) -> None:
    assert times(expression, "Europe/Vienna", "2024-03-30T12:00Z", 2) == [
        "2024-03-31 03:00+02:00",
        "2024-04-01 02:30+02:00",
    ]


@pytest.mark.parametrize("start", ["2024-10-26T12:00Z", "2024-10-27T00:29:59.9Z"])
def test_a_fixed_time_that_is_repeated_comes_once(start: str) -> None:
    assert times("30 2 * * *", "Europe/Vienna", start, 2) == [
        "2024-10-27 02:30+02:00",
        "2024-10-28 02:30+01:00",
    ]


def test_it_has_come_when_the_hour_is_repeated() -> None:
    assert times("30 2 * * *", "Europe/Vienna", "2024-10-27T01:10Z", 1) == [
        "2024-10-28 02:30+01:00"
    ]


def test_several_fixed_times_of_a_gap_come_once() -> None:
    assert times("0,15,30 2,3 * * *", "Europe/Vienna", "2024-03-31T00:00Z", 3) == [
        "2024-03-31 03:00+02:00",
        "2024-03-31 03:15+02:00",
        "2024-03-31 03:30+02:00",
    ]


def test_wildcards_run_through() -> None:
    assert times("*/30 * * * *", "Europe/Vienna", "2024-03-31T00:29Z", 3) == [
        "2024-03-31 01:30+01:00",
        "2024-03-31 03:00+02:00",
        "2024-03-31 03:30+02:00",
    ]
    assert times("*/30 * * * *", "Europe/Vienna", "2024-10-26T23:59Z", 5) == [
        "2024-10-27 02:00+02:00",
        "2024-10-27 02:30+02:00",
        "2024-10-27 02:00+01:00",
        "2024-10-27 02:30+01:00",
        "2024-10-27 03:00+01:00",
    ]


def test_midnight_may_be_skipped() -> None:
    assert times("@daily", "America/Havana", "2024-03-09T12:00Z", 2) == [
        "2024-03-10 01:00-04:00",
        "2024-03-11 00:00-04:00",
    ]


def test_a_whole_day_may_be_skipped() -> None:
    assert times("30 12 * * *", "Pacific/Apia", "2011-12-29T23:00Z", 2) == [
        "2011-12-31 00:00+14:00",
        "2011-12-31 12:30+14:00",
    ]


@pytest.mark.parametrize(
    ("alias", "fields"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        (" @Hourly ", "0 * * * *"),
    ],
)
def test_aliases(alias: str, fields: str) -> None:
    assert parse_cron(alias) == parse_cron(fields)


def test_six_fields_begin_with_seconds() -> None:
    cron = parse_cron("*/20 * * * * *")
    at = datetime(2024, 5, 5, 12, 0, 5, tzinfo=UTC)
    assert cron.after(at) == at.replace(second=20)
    assert cron.after(at.replace(second=40)) == at.replace(minute=1, second=0)


def test_days_of_month_and_week() -> None:
    """Either of them is enough, unless one is a star."""
    assert times("0 0 13 * FRI", "UTC", "2024-09-10T00:00Z", 2) == [
        "2024-09-13 00:00+00:00",
        "2024-09-20 00:00+00:00",
    ]
    assert times("0 0 * * FRI#2", "UTC", "2024-09-20T00:00Z", 1) == ["2024-10-11 00:00+00:00"]


def test_a_rare_day_is_found() -> None:
    assert times("0 0 29 2 *", "UTC", "2096-03-01T00:00Z", 1) == ["2104-02-29 00:00+00:00"]


def test_the_calendar_ends() -> None:
    assert parse_cron("@yearly").after(datetime(9999, 6, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "wrong number of fields"),
        ("* * * *", "wrong number of fields"),
        ("* * * * * * *", "wrong number of fields"),
        ("60 * * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 0 0 * *", "bad day-of-month"),
        ("0 0 31 2 *", "bad day-of-month"),
        ("*/0 * * * *", "bad minute"),
        ("0 0 L,W * *", "bad day-of-month"),
        ("0 0 * FOO *", "bad month"),
        ("0 0 * * 8", "bad day-of-week"),
        ("@reboot", "no such alias"),
        ("* " * 200, "up to 255 characters"),
        (5, "must be a text"),
    ],
)
def test_what_is_no_cron_expression(expression: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_cron(expression)


@pytest.mark.parametrize("zone", ["Europe/Wien", "../etc/passwd", "", "\0", "Mars"])
def test_what_is_no_zone(zone: str) -> None:
    with pytest.raises(InvalidInput, match="IANA zone"):
        parse_cron("@daily", zone or "/")


@settings(max_examples=100, **PATIENT)
@given(st.text("0123456789*/-,L#WMON@ ", max_size=30))
def test_anything_else_is_refused_in_words(text: str) -> None:
    try:
        cron = parse_cron(text)
    except InvalidInput:
        return
    assert cron.after(datetime(2024, 1, 1, tzinfo=UTC)) is not None


instants = st.datetimes(datetime(2005, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))


@st.composite
def near_changes(draw: st.DrawFn) -> tuple[str, datetime]:
    """Draw a zone and an instant, mostly of the hours in which its clocks are changed."""
    zone = draw(st.sampled_from(ZONES))
    at = draw(instants)
    for _ in range(400):
        after = at + timedelta(days=1)
        if (
            at.astimezone(ZoneInfo(zone)).utcoffset()
            != after.astimezone(ZoneInfo(zone)).utcoffset()
        ):
            return zone, at + draw(st.timedeltas(timedelta(0), timedelta(days=1)))
        at = after
    return zone, at


@settings(max_examples=60, **PATIENT)
@given(near_changes(), st.sampled_from(RUNNING))
def test_wildcards_match_what_the_clock_shows(where: tuple[str, datetime], expression: str) -> None:
    """Looking at the clock every minute finds the same."""
    zone, at = where
    cron = parse_cron(expression, zone)
    minute = at.replace(second=0, microsecond=0)
    later = (minute + n * MINUTE for n in range(1, 60 * 27))
    shown = next((each for each in later if shows(cron, each)), None)
    assume(shown is not None)
    assert cron.after(at) == shown


def shows(cron: Cron, instant: datetime) -> bool:
    """Whether the wall clock shows a match."""
    wall = naive(instant, cron.zone)
    return parse_cron(cron.fields).after((wall - MINUTE).replace(tzinfo=UTC)) == wall.replace(
        tzinfo=UTC
    )


@settings(max_examples=60, **PATIENT)
@given(near_changes(), st.sampled_from(FIXED))
def test_a_fixed_time_comes_as_often_as_there_are_days(
    where: tuple[str, datetime], expression: str
) -> None:
    """Each day of the calendar has its times once, at the instant it shows or after the gap."""
    zone, at = where
    cron, utc = parse_cron(expression, zone), parse_cron(expression)
    found = set()
    slot = cron.after(at - timedelta(days=2))
    while slot is not None and slot <= at + timedelta(days=2):
        found.add(slot)
        slot = cron.after(slot)
    expected = set()
    wall = utc.after(at - timedelta(days=4))
    while wall is not None and wall <= at + timedelta(days=4):
        expected.add(first_shown(wall, cron.zone))
        wall = utc.after(wall)
    span = (at - timedelta(days=2), at + timedelta(days=2))
    assert found == {slot for slot in expected if span[0] < slot <= span[1]}


def first_shown(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant, to the minute, at which the clock shows `wall` or a later time."""
    around = (wall + hours * HOUR for hours in range(-36, 37, 3))
    shifts = {at.astimezone(zone).utcoffset() or timedelta(0) for at in around}
    shown = [wall - shift for shift in shifts]
    exact = [at for at in shown if naive(at, zone) == wall.replace(tzinfo=None)]
    if exact:
        return min(exact)
    at = min(shown)
    while naive(at, zone) < wall.replace(tzinfo=None):
        at += MINUTE
    return at


def naive(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


@settings(max_examples=100, **PATIENT)
@given(near_changes(), st.sampled_from(FIXED + RUNNING), st.timedeltas(-3 * HOUR, 3 * HOUR))
def test_it_does_not_matter_from_where_one_looks(
    where: tuple[str, datetime], expression: str, shift: timedelta
) -> None:
    """The next time is the same from any instant before it, and none lies between."""
    zone, at = where
    cron = parse_cron(expression, zone)
    early, late = sorted((at, at + shift))
    first = cron.after(early)
    assert first is not None
    assert first > early
    if first > late:
        assert cron.after(late) == first
    else:
        later = cron.after(late)
        assert later is not None
        assert later > late >= first


CHANGED_FROM, CHANGED_TO = datetime(2024, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the instants at which the clocks of a zone are changed, to the minute."""
    at, step = start, timedelta(days=4)
    while at < end:
        low, high = at, at + step
        if low.astimezone(zone).utcoffset() != high.astimezone(zone).utcoffset():
            while high - low > MINUTE:
                half = low + (high - low) // (2 * MINUTE) * MINUTE
                same = half.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset()
                low, high = (half, high) if same else (low, half)
            yield high
        at += step


def test_every_change_in_every_zone() -> None:
    """A time that is skipped or comes twice comes once, and the days around have theirs."""
    seen = 0
    for name in sorted(available_timezones()):
        zone = parse_zone(name)
        for change in changes(zone, CHANGED_FROM, CHANGED_TO):
            seen += 1
            before = naive(change - MINUTE, zone) + MINUTE
            shown = min(before, naive(change, zone))
            cron = parse_cron(f"{shown.minute} {shown.hour} * * *", name)
            at, found = change - timedelta(days=2), list[datetime]()
            while (slot := cron.after(at)) is not None and slot < change + timedelta(days=2):
                found.append(slot)
                at = slot
            near = [slot for slot in found if abs(slot - change) < 12 * HOUR]
            assert near == [change - (before - shown)], (name, change)
            assert 3 <= len(found) <= 5, (name, change)
    assert seen > 500
