"""Cron: what expressions mean, where clocks are changed too, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from oqron_sql.contract.cron import parse_cron
from oqron_sql.errors import InvalidInput

MINUTE = timedelta(minutes=1)


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
