"""A mistake gets one clear line and a status, not a traceback and never a password."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from oqron_sql.cli.printing import Cell, print_table
from tests.cli.conftest import RunHere, Start

UNREACHABLE = [
    "postgresql+asyncpg://me:s3cret@127.0.0.1:1/db",
    "postgresql+psycopg://me:s3cret@127.0.0.1:1/db",
    "mysql+pymysql://me:s3cret@127.0.0.1:1/db",
    "mysql+asyncmy://me:s3cret@127.0.0.1:1/db",
    "sqlite:////nowhere/at/all/demo.db",
]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "/nowhere/at/all"], "does not exist"),
        (["demo", "--workers", "0"], "greater than or equal to 1"),
        (["demo", "--url", "sqlite://"], "memory of one process"),
        (["demo", "--url", "nonsense"], "not a database URL"),
        (["demo", "--url", "postgresql://me:s3cret/x@host:port/db"], "not a database URL"),
        (["demo", "--url", "postgresql+nothing://me:s3cret@host/db"], "postgresql+nothing"),
        (["dmeo"], "No such command"),
    ],
)
def test_wrong_usage(run_here: RunHere, arguments: list[str], said: str) -> None:
    outcome = run_here(*arguments)
    assert outcome.status == 2
    assert said in outcome.errors
    assert "s3cret" not in outcome.errors
    assert outcome.said == ""


def test_a_missing_driver_is_told_with_what_to_install(
    run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    outcome = run_here("demo", "--url", "mysql+pymysql://host/db")
    assert outcome.status == 2
    assert "pip install 'oqron-sql[mysql]'" in outcome.errors


def test_an_empty_folder_is_wrong_usage(run_here: RunHere, tmp_path: Path) -> None:
    outcome = run_here("demo", str(tmp_path))
    assert outcome.status == 2
    assert outcome.errors == (
        f"oqron-sql: there is nothing to read: no regular file in {tmp_path}\n"
    )


@pytest.mark.parametrize("url", UNREACHABLE)
def test_an_unreachable_database_is_told_without_the_password(
    run_here: RunHere, few_files: Path, url: str
) -> None:
    outcome = run_here("demo", str(few_files), "--url", url)
    assert outcome.status == 2
    assert outcome.errors.startswith("oqron-sql: the database did not complete ")
    assert outcome.errors.count("\n") == 1
    assert "s3cret" not in outcome.said + outcome.errors


def test_the_version_is_told(run_here: RunHere) -> None:
    outcome = run_here("--version")
    assert outcome.status == 0
    assert outcome.said.startswith("oqron-sql")


def test_it_is_a_module_too(start: Start) -> None:
    command = start("demo", "/nowhere/at/all")
    assert command.wait() == 2
    assert "does not exist" in command.said


def test_a_table_that_does_not_fit_is_told_row_by_row() -> None:
    headings = ("id", "state", "reason")
    rows: list[list[Cell]] = [["a" * 36, "failed", ""], ["b" * 36, 1_000, "no"]]

    def told(width: int) -> list[str]:
        console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        print_table(console, headings, rows)
        assert isinstance(console.file, io.StringIO)
        return [line.rstrip() for line in console.file.getvalue().splitlines()]

    assert len(told(80)) == 3
    assert told(50) == [
        f"id      {'a' * 36}",
        "state   failed",
        "",
        f"id      {'b' * 36}",
        "state   1,000",
        "reason  no",
    ]
