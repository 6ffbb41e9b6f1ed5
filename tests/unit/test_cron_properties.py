"""Cron, whatever the expression: against what the wall clock shows, in every zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

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
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
FIXED = ["30 2 * * *", "0 0 * * *", "0,30 1-3 * * *", "15 2 * * SUN", "59 23 L * *"]
RUNNING = ["*/7 * * * *", "0 */2 * * *", "30 * * * *", "*/20 0-3 * * *", "*/15 1-3 * * *"]


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
