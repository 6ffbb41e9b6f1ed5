"""Schedules from the command line."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from sqlalchemy import text

from oqron_sql.contract import Repeat, Schedule
from oqron_sql.testing.steps import PAYLOAD
from tests.cli.operating import HOSTILE, Operator
from tests.cli.test_mistakes import Terminal, refused

EVERY = ("--every", "5 minutes")


def test_a_schedule_from_its_beginning_to_its_end(operator: Operator) -> None:
    added = operator.read(
        "schedules", "add", HOSTILE, "report", *EVERY, "--data", f'{{"to": "{PAYLOAD}"}}',
        "--key", HOSTILE, "--limit", "3", "--attempts", "2", "--priority", "-1",
        "--start", "2090-01-01T00:00Z", "--end", "2091-01-01T01:00+01:00", "--catchup", "all",
    )  # fmt: skip
    assert added["repeat"]["every"] == 300
    assert (added["data"], added["opts"]["attempts"]) == ({"to": PAYLOAD}, 2)
    assert (added["next_slot"], added["catchup"]) == ("2090-01-01T00:00:00.000000Z", "all")
    (listed,) = operator.read("schedules", "list")
    assert "data" not in listed
    assert listed.items() <= added.items()
    assert operator.read("schedules", "list", HOSTILE) == [listed]
    assert operator.read("schedules", "list", "another") == []
    assert operator.read("schedules", "show", HOSTILE, HOSTILE) == added
    paused = operator.run("schedules", "pause", HOSTILE, HOSTILE)
    assert paused.said == f"Schedule {HOSTILE!r} of queue {HOSTILE!r} is paused.\n"
    assert operator.read("schedules", "show", HOSTILE, HOSTILE)["paused"]
    assert operator.read("schedules", "resume", HOSTILE, HOSTILE)["done"] == "goes on"
    resumed = operator.read("schedules", "show", HOSTILE, HOSTILE)
    assert resumed == {**added, "version": 3}
    assert operator.run("schedules", "remove", HOSTILE, HOSTILE).status == 0
    refused(operator.run("schedules", "show", HOSTILE, HOSTILE), "has no schedule", status=1)


def test_schedules_are_shown_to_people(sqlite_operator: Operator) -> None:
    def run(*arguments: str) -> str:
        outcome = sqlite_operator.run("schedules", *arguments)
        assert outcome.status == 0, outcome.errors
        return outcome.said

    assert run("list") == "There is no schedule.\n"
    shown = run("add", "mail", "report", "--cron", "@daily", "--tz", "Europe/Vienna",
                "--data", f'"{PAYLOAD}"')  # fmt: skip
    assert PAYLOAD in shown
    assert "cron = @daily" in shown
    run("add", "mail", "tick", *EVERY, "--limit", "9")
    with sqlite_operator.store(timedelta(minutes=-6)) as store:
        store.fire_schedules("mail")
    run("pause", "mail", "report")
    lines = run("list").splitlines()
    assert lines[1].split()[:5] == ["report", "mail", "report", "@daily", "Europe/Vienna"]
    assert lines[1].split()[-1] == "paused"
    assert lines[2].split()[:5] == ["tick", "mail", "tick", "every", "0:05:00"]
    assert lines[2].split()[5:8] == ["1", "of", "9"]
    assert PAYLOAD not in "".join(lines)
    # Adding it again is how it is changed.
    assert sqlite_operator.read("schedules", "add", "mail", "tick", *EVERY)["fired"] == 1
    assert len(sqlite_operator.read("schedules", "list", "--limit", "1", "--offset", "1")) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "q", "job"], "either --cron or --every"),
        (["add", "q", "job", *EVERY, "--cron", "@daily"], "either --cron or --every"),
        (["add", "q", "job", "--cron", "* *"], "cron: wrong number of fields"),
        (["add", "q", "job", "--cron", "@daily", "--tz", "Mars"], "IANA zone"),
        (["add", "q", "job", "--every", "often"], "--every: must read like"),
        (["add", "q", "job", *EVERY, "--tz", "UTC"], "--tz goes with --cron"),
        (["add", "q", "job", "--every", "10ms"], "at least a second"),
        (["add", "q", "job", *EVERY, "--data", "{to: me}"], "--data must be JSON"),
        (["add", "q", "job", *EVERY, "--data", "NaN"], "cannot store this value as JSON"),
        (["add", "q", "job", *EVERY, "--start", "2030-01-01"], "--start: needs a time zone"),
        (["add", "q", "job", *EVERY, "--end", "soon"], "--end: must read like"),
        (["add", "q", "job", *EVERY, "--limit", "0"], "'--limit'"),
        (["add", "q", "job", *EVERY, "--catchup", "some"], "'--catchup'"),
        (["add", "q", "job", *EVERY, "--key", "k" * 201], "1 to 200 characters"),
        (["add", "", "job", *EVERY], "queue: must have 1 to 255 characters"),
        (["show", "q", "x\ny"], "key: must not contain control characters"),
        (["list", "q\x1b[2J"], "queue: must not contain control characters"),
    ],
)
def test_wrong_input(sqlite_operator: Operator, arguments: list[str], said: str) -> None:
    refused(sqlite_operator.run("schedules", *arguments), said)
    assert sqlite_operator.read("schedules", "list") == []


def test_a_schedule_that_never_fires_is_told_of(sqlite_operator: Operator) -> None:
    late = ("schedules", "add", "q", "job", *EVERY, "--end", "2020-01-01T00:00Z")
    outcome = sqlite_operator.run(*late)
    assert (outcome.status, outcome.errors) == (
        0,
        "Note that it is over: no time is left for it.\n",
    )


def test_the_doctor_finds_that_nobody_fires(sqlite_operator: Operator) -> None:
    sqlite_operator.run("schedules", "add", "mail", "soon", "--every", "1 hour")
    assert sqlite_operator.read("doctor")["findings"] == []
    repeat = Repeat(every=timedelta(hours=1))
    late = Schedule(queue_name="mail", key="late", name="job", repeat=repeat)
    with sqlite_operator.store(ago=timedelta(hours=4)) as store:
        store.put_schedule("mail", late)
    (found,) = sqlite_operator.read("doctor", status=1)["findings"]
    assert found["about"] == "schedule 'late' of queue 'mail'"
    assert found["problem"] == "has been due for 3 h"
    sqlite_operator.run("schedules", "pause", "mail", "late")
    assert sqlite_operator.read("doctor")["healthy"]


_LOST = text("UPDATE oqron_schedules SET tz = 'Mars' WHERE schedule_key = 'broken'")


def test_one_that_cannot_be_read_here_hides_no_other(sqlite_operator: Operator) -> None:
    sqlite_operator.run("schedules", "add", "mail", "sound", *EVERY)
    sqlite_operator.run("schedules", "add", "mail", "broken", "--cron", "@daily", "--tz", "UTC")
    with sqlite_operator.store() as store:
        store.run(lambda tx: tx.conn.execute(_LOST))
    broken, sound = sqlite_operator.read("schedules", "list")
    assert (broken["repeat"]["tz"], sound["error"]) == ("Mars", None)
    assert "IANA zone" in broken["error"]
    shown = sqlite_operator.run("schedules", "list")
    assert "cannot be read here: tz: must be a known IANA zone" in shown.said
    assert "Mars" in sqlite_operator.run("schedules", "show", "mail", "broken").said
    (found,) = sqlite_operator.read("doctor", status=1)["findings"]
    assert found["about"] == "schedule 'broken' of queue 'mail'"
    sqlite_operator.run("schedules", "remove", "mail", "broken", "--yes")
    assert sqlite_operator.read("doctor")["healthy"]


@pytest.mark.parametrize("command", ["show", "pause", "resume", "remove"])
def test_an_unknown_schedule_is_not_found(sqlite_operator: Operator, command: str) -> None:
    unknown = "queue 'mail' has no schedule 'report'; `oqron-sql schedules list mail --url "
    refused(sqlite_operator.run("schedules", command, "mail", "report"), unknown, status=1)
    sqlite_operator.run("schedules", "add", "mail", "reports", *EVERY)
    nearly = sqlite_operator.run("schedules", command, "mail", "report")
    refused(nearly, "did you mean 'reports'?", status=1)


def test_a_person_is_asked_before_a_schedule_is_ended(
    sqlite_operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_operator.run("schedules", "add", "mail", "report", *EVERY)
    for answer, left in (("n\n", 1), ("y\n", 0)):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        outcome = sqlite_operator.run("schedules", "remove", "mail", "report")
        assert "End schedule 'report' of queue 'mail'?" in outcome.errors
        assert len(sqlite_operator.read("schedules", "list")) == left
