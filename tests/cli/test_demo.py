"""The demo from end to end: every file once, whatever is killed, on every database."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import Start
from tests.servers import Server


def recovered(said: str) -> int:
    (count,) = re.findall(r"^recovered +(\d+)", said, re.MULTILINE)
    return int(count)


def test_every_file_is_accounted_for(start: Start, few_files: Path, tmp_path: Path) -> None:
    database = tmp_path / "demo.db"
    command = start("demo", str(few_files), "--workers", "2", "--url", f"sqlite:///{database}")
    assert command.wait() == 0, command.said
    assert "OK: 30 files, each with exactly one completed job" in command.said
    assert recovered(command.said) == 0
    assert database.exists()


def test_runs_on_one_database_do_not_mix(start: Start, few_files: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    both = [start("demo", str(few_files), "--workers", "1", "--url", url) for _ in range(2)]
    for command in both:
        assert command.wait() == 0, command.said
        assert "OK: 30 files" in command.said
    assert both[0].queue != both[1].queue


def test_the_default_database_is_gone_afterwards(start: Start, few_files: Path) -> None:
    command = start("demo", str(few_files), "--workers", "1")
    assert command.wait() == 0, command.said
    (path,) = re.findall(r"sqlite:///(\S+/demo\.db)", command.said)
    assert not Path(path).parent.exists()


def test_the_database_is_not_among_what_is_read(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for _ in range(2):
        command = start("demo", str(tmp_path), "--url", f"sqlite:///{tmp_path / 'demo.db'}")
        assert command.wait() == 0, command.said
        assert "OK: 1 file," in command.said


def test_jobs_of_a_killed_worker_come_back(start: Start, many_files: Path) -> None:
    command = start("demo", str(many_files), "--workers", "2", "--kill")
    assert command.wait() == 0, command.said
    assert "killed worker" in command.said
    assert "takes its place" in command.said
    assert "after its death: the leases had run out" in command.said
    assert recovered(command.said) > 0
    assert "OK: 300 files" in command.said


def test_a_worker_killed_by_somebody_else_is_replaced(start: Start, many_files: Path) -> None:
    command = start("demo", str(many_files), "--workers", "2")
    command.wait_until(command.workers)
    os.kill(next(iter(command.workers())), signal.SIGKILL)
    command.wait_until(lambda: "is dead, SIGKILL" in command.said)
    assert command.wait() == 0, command.said
    assert "OK: 300 files" in command.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_stops_all_workers(
    start: Start, many_files: Path, number: signal.Signals
) -> None:
    command = start("demo", str(many_files), "--workers", "2")
    command.wait_until(lambda: len(command.workers()) == 2)
    command.process.send_signal(number)
    assert command.wait() == 128 + number, command.said
    assert "Interrupted." in command.said
    assert "Traceback" not in command.said
    assert command.workers() == {}


def test_workers_do_not_outlive_a_parent_that_was_killed(start: Start, many_files: Path) -> None:
    command = start("demo", str(many_files), "--workers", "2")
    command.wait_until(lambda: len(command.workers()) == 2)
    command.process.kill()
    command.wait()
    command.wait_until(lambda: not command.workers(), running=False)


def test_a_file_that_cannot_be_read_is_told_and_fails(start: Start, tmp_path: Path) -> None:
    (tmp_path / "good").touch()
    (tmp_path / "bad").symlink_to("/proc/self/mem")  # regular, but its first page cannot be read
    command = start("demo", str(tmp_path), "--workers", "1")
    assert command.wait() == 1, command.said
    assert "NOT OK: 1 problem." in command.said
    assert re.search(r"failed: .*/bad: OSError: ", command.said)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_on_postgresql(start: Start, few_files: Path, postgresql: Server, driver: str) -> None:
    command = start("demo", str(few_files), "--workers", "2", "--url", postgresql.url(driver))
    assert command.wait() == 0, command.said
    assert "OK: 30 files" in command.said


@pytest.mark.parametrize("driver", ["pymysql", "asyncmy", "mariadb+asyncmy"])
def test_on_mariadb(start: Start, few_files: Path, mariadb: Server, driver: str) -> None:
    command = start("demo", str(few_files), "--workers", "2", "--url", mariadb.url(driver))
    assert command.wait() == 0, command.said
    assert "OK: 30 files" in command.said


def test_on_aiosqlite(start: Start, few_files: Path, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'demo.db'}"
    command = start("demo", str(few_files), "--workers", "2", "--url", url)
    assert command.wait() == 0, command.said
    assert "OK: 30 files" in command.said


def test_killing_on_postgresql(start: Start, many_files: Path, postgresql: Server) -> None:
    url = postgresql.url("asyncpg")
    command = start("demo", str(many_files), "--workers", "2", "--kill", "--url", url)
    assert command.wait() == 0, command.said
    assert recovered(command.said) > 0


def test_killing_on_mariadb(start: Start, many_files: Path, mariadb: Server) -> None:
    url = mariadb.url("pymysql")
    command = start("demo", str(many_files), "--workers", "2", "--kill", "--url", url)
    assert command.wait() == 0, command.said
    assert recovered(command.said) > 0
