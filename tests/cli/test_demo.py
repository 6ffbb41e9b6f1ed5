"""The demo from end to end: every file once, whatever is killed, on every database."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from oqron_sql.cli import demo_crew
from tests.cli.conftest import RunHere, Start
from tests.servers import Server

FEW = "OK: 30 files, each with exactly one completed job"
MANY = "OK: 300 files, each with exactly one completed job"


def recovered(said: str) -> int:
    (count,) = re.findall(r"^recovered +(\d+)", said, re.MULTILINE)
    return int(count)


def test_jobs_of_a_killed_worker_come_back(run_here: RunHere, many_files: Path) -> None:
    outcome = run_here("demo", str(many_files), "--workers", "2", "--kill")
    assert outcome.status == 0, outcome
    assert MANY in outcome.said
    assert recovered(outcome.said) > 0
    for told in ("killed worker", "takes its place", "after its death: the leases had run out"):
        assert told in outcome.said
    (path,) = re.findall(r"sqlite:///(\S+/demo\.db)", outcome.said)
    assert not Path(path).parent.exists()


@pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite"])
def test_a_database_in_a_file_is_kept_and_not_read(
    run_here: RunHere, tmp_path: Path, driver: str
) -> None:
    (tmp_path / "file").touch()
    database = tmp_path / "demo.db"
    for _ in range(2):  # the second run finds the database, and the first one's jobs in it
        url = f"{driver}:///{database}"
        outcome = run_here("demo", str(tmp_path), "--workers", "1", "--url", url)
        assert outcome.status == 0, outcome
        assert "OK: 1 file," in outcome.said
        assert database.exists()


def test_on_postgresql(run_here: RunHere, few_files: Path, postgresql: Server) -> None:
    url = postgresql.url("psycopg")
    outcome = run_here("demo", str(few_files), "--workers", "2", "--url", url)
    assert outcome.status == 0, outcome
    assert FEW in outcome.said


def test_on_mariadb(run_here: RunHere, few_files: Path, mariadb: Server) -> None:
    url = mariadb.url("pymysql")
    outcome = run_here("demo", str(few_files), "--workers", "2", "--url", url)
    assert outcome.status == 0, outcome
    assert FEW in outcome.said


def test_killing_on_postgresql(run_here: RunHere, many_files: Path, postgresql: Server) -> None:
    url = postgresql.url("asyncpg")
    outcome = run_here("demo", str(many_files), "--workers", "2", "--kill", "--url", url)
    assert outcome.status == 0, outcome
    assert recovered(outcome.said) > 0


def test_killing_on_mariadb(run_here: RunHere, many_files: Path, mariadb: Server) -> None:
    url = mariadb.url("mariadb+asyncmy")
    outcome = run_here("demo", str(many_files), "--workers", "2", "--kill", "--url", url)
    assert outcome.status == 0, outcome
    assert recovered(outcome.said) > 0


def test_a_file_that_cannot_be_read_is_told_and_fails(run_here: RunHere, tmp_path: Path) -> None:
    (tmp_path / "good").touch()
    (tmp_path / "bad").symlink_to("/proc/self/mem")  # regular, but its first page cannot be read
    outcome = run_here("demo", str(tmp_path), "--workers", "1")
    assert outcome.status == 1, outcome
    assert "NOT OK: 1 problem." in outcome.said
    assert re.search(r"failed: .*/bad: OSError: ", outcome.said)


def test_a_worker_killed_by_somebody_else_is_replaced(
    start: Start, many_files: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    command = start("demo", str(many_files), "--workers", "2", OQRON_URL=url)
    command.wait_until(command.workers)
    pid, line = next(iter(command.workers().items()))
    assert "sqlite" not in line  # a URL may hold a password, and `ps` shows this line to anyone
    os.kill(pid, signal.SIGKILL)
    assert command.wait() == 0, command.said
    assert f"(pid {pid}) is dead, SIGKILL" in command.said
    assert MANY in command.said


def test_an_interruption_stops_all_workers(start: Start, many_files: Path) -> None:
    command = start("demo", str(many_files), "--workers", "2")
    command.wait_until(lambda: len(command.workers()) == 2)
    command.process.send_signal(signal.SIGINT)
    assert command.wait() == 130, command.said
    assert "Interrupted." in command.said
    assert "Traceback" not in command.said
    assert command.workers() == {}


def test_workers_do_not_outlive_a_parent_that_was_killed(
    start: Start, many_files: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    command = start("demo", str(many_files), "--workers", "2", "--url", url)
    command.wait_until(lambda: len(command.workers()) == 2)
    command.process.kill()
    command.wait()
    command.wait_until(lambda: not command.workers(), running=False)


def test_workers_that_cannot_even_start_end_the_demo(
    run_here: RunHere, few_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit('no way')"]
    monkeypatch.setattr(demo_crew, "python", lambda: failing)
    outcome = run_here("demo", str(few_files), "--workers", "2")
    assert outcome.status == 1, outcome
    assert outcome.errors == (
        "oqron-sql: gave up after 6 workers died; the last one said: no way\n"
    )
