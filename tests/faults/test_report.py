"""What the runs say at their end, and what they cannot do: nothing is passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.__main__ import NOTHING_RUN, arguments, choose, main
from tests.faults.history import History
from tests.faults.nemeses import FAULTS
from tests.faults.report import NONE, cells, histories, line, whole
from tests.faults.run import Outcome


async def test_a_fault_that_cannot_be_there_is_skipped_and_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--fault", "read-only", "--backend", "sqlite-thread", "--folder", str(tmp_path))
    assert await main(arguments(asked)) == NOTHING_RUN
    said = capsys.readouterr().out
    assert "skipped: it is for postgresql and mariadb\n" in said
    assert "0 runs: nothing was shown." in said
    assert "held" not in said
    report = (tmp_path / "report.md").read_text()
    assert "- read-only on sqlite-thread: it is for postgresql and mariadb\n" in report


def test_what_was_not_asked_for_is_not_missed() -> None:
    chosen, misfits = choose(arguments(["--backend", "sqlite-thread"]))
    assert chosen
    assert misfits == []


def test_the_report_says_where_the_histories_are(tmp_path: Path) -> None:
    assert f"\nHistories: `{histories(tmp_path)}`\n" in whole([], [], 1, tmp_path)


def test_what_does_not_apply_is_marked() -> None:
    outcome = Outcome("sqlite", FAULTS["kill"], 1.0, History(()), 0, {})
    assert cells(outcome)[-1] == NONE
    assert NONE not in line(outcome)


def test_help_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--help"])
    assert capsys.readouterr().out.startswith("usage: python -m tests.faults ")
