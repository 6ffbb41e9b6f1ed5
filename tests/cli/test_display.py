"""What the live display looks like, on narrow and wide terminals."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from oqron_sql.cli.demo_crew import Member
from oqron_sql.cli.demo_display import (
    LiveDisplay,
    PlainDisplay,
    Progress,
    display_for,
    render,
)
from oqron_sql.cli.printing import say
from oqron_sql.contract import JobState

COUNTS = {JobState.WAITING: 12_345, JobState.ACTIVE: 80, JobState.COMPLETED: 7_575}


def member(number: int, **told: Any) -> Member:
    return Member(number, f"w{number}", cast("Any", SimpleNamespace(pid=100_000 + number)), **told)


def progress(*members: Member) -> Progress:
    made = Progress("/data", 20_000, list(members))
    made.update({JobState.COMPLETED: 0}, 10.0)
    made.update(COUNTS, 12.0)
    return made


def drawn(shown: Progress, width: int = 80, room: int = 100) -> list[str]:
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(render(shown, room))
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize("width", [80, 160])
def test_the_numbers_and_each_worker_are_shown(width: int) -> None:
    lines = drawn(progress(member(1, state="reading", done=7, file="/data/sub/file.py")), width)
    assert lines[1].split() == [
        lines[1].split()[0],
        "38%",
        "7,575",
        "of",
        "20,000",
        *lines[1].split()[-2:],
    ]
    assert lines[2].split() == [
        "waiting", "12,345", "active", "80", "done", "7,575", "jobs/s", "3,788",
    ]  # fmt: skip
    assert lines[-1].split() == ["1", "100001", "reading", "7", "sub/file.py"]


def test_a_long_file_name_is_cut_not_wrapped() -> None:
    lines = drawn(progress(member(1, state="reading", file="/data/" + "n" * 200)))
    assert len(lines[-1]) == 80
    assert lines[-1].endswith("…")


def test_a_file_name_can_neither_control_the_terminal_nor_be_markup() -> None:
    lines = drawn(progress(member(1, state="reading", file="/data/[red]a\x1b[2J\nb")))
    assert lines[-1].endswith("[red]a\ufffd[2J\ufffdb")


def test_what_a_dead_worker_left_is_shown_until_it_is_back() -> None:
    dead = member(1, dead=True, killed=True, leases={("a", 1), ("b", 1)})
    assert drawn(progress(dead))[-1].endswith("left 2 leased jobs, 0 are back")
    assert "lost 2" in drawn(progress(dead))[2]
    dead.returned = 2
    assert drawn(progress(dead))[-1].endswith("left 2 leased jobs, all are back")
    assert "recovered 2" in drawn(progress(dead))[2]


def test_more_workers_than_lines_are_summed_up() -> None:
    lines = drawn(progress(*(member(n, done=n) for n in range(1, 11))), room=4)
    assert [line.split()[0] for line in lines[-5:]] == ["…", "7", "8", "9", "10"]
    assert lines[-5].split() == ["…", "21", "6", "more", "workers"]


def test_a_pipe_gets_plain_lines() -> None:
    console = Console(file=io.StringIO(), width=40)
    display = display_for(console)
    assert isinstance(display, PlainDisplay)
    with display:
        display.show(progress())
        display.event("a long line " * 9)
    (numbers, event) = cast("io.StringIO", console.file).getvalue().splitlines()
    assert "waiting 12345  active 80  done 7575 of 20000" in numbers
    assert event.endswith("a long line " * 9)


def test_a_terminal_gets_the_live_display() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    display = display_for(console)
    assert isinstance(display, LiveDisplay)
    with display:
        display.show(progress(member(1)))
        display.event("something happened")
    text = cast("io.StringIO", console.file).getvalue()
    assert "something happened" in text
    assert text.endswith("\x1b[?25h")  # the cursor is back


def test_text_is_no_markup() -> None:
    console = Console(file=io.StringIO(), width=80)
    say(console, "[bold]/x\x1b[0m")
    assert cast("io.StringIO", console.file).getvalue() == "[bold]/x\ufffd[0m\n"
