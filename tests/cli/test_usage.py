"""A mistake gets one clear line and a status, not a traceback and never a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Start

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
        (["demo", "--url", "nonsense"], "cannot read the database URL"),
        (["demo", "--url", "postgresql+nothing://host/db"], "no driver is known"),
        (["dmeo"], "No such command"),
    ],
)
def test_wrong_usage(start: Start, arguments: list[str], said: str) -> None:
    command = start(*arguments)
    assert command.wait() == 2, command.said
    assert said in command.said
    assert "Traceback" not in command.said


def test_an_empty_folder_is_wrong_usage(start: Start, tmp_path: Path) -> None:
    command = start("demo", str(tmp_path))
    assert command.wait() == 2
    assert command.said == (f"oqron-sql: there is nothing to read: no regular file in {tmp_path}\n")


@pytest.mark.parametrize("url", UNREACHABLE)
def test_an_unreachable_database_is_told_without_the_password(
    start: Start, few_files: Path, url: str
) -> None:
    command = start("demo", str(few_files), OQRON_URL=url)
    assert command.wait() == 1, command.said
    assert "oqron-sql: " in command.said
    assert "s3cret" not in command.said
    assert "Traceback" not in command.said


def test_the_url_is_not_on_a_workers_command_line(
    start: Start, many_files: Path, tmp_path: Path
) -> None:
    command = start("demo", str(many_files), OQRON_URL=f"sqlite:///{tmp_path / 'demo.db'}")
    command.wait_until(command.workers)
    assert not any("sqlite" in line for line in command.workers().values())


def test_the_version_is_told(start: Start) -> None:
    command = start("--version")
    assert command.wait() == 0
    assert command.said.startswith("oqron-sql")
