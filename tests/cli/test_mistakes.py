"""What an operator gets wrong costs a line and a status, never a job, a file or a password."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from oqron_sql.cli.database import Database
from tests.cli.conftest import PATIENCE, RunHere, Start
from tests.cli.operating import HOSTILE, Operator, Outcome
from tests.servers import PASSWORD, Server

OLD = ("--older-than", "1s")
OF_FAILED = ("--state", "failed")
CENTURIES = "99999999999999999999 weeks"


def refused(outcome: Outcome, said: str, status: int = 2) -> None:
    """Check that it was told why in words."""
    assert outcome.status == status
    assert said in " ".join(outcome.errors.replace("│", " ").split())
    assert "Traceback" not in outcome.errors
    assert outcome.said == ""


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="there is no file here to which nothing fits")
@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_full_disk(sqlite_operator: Operator, how: list[str]) -> None:
    """Nothing is told of what was asked, be it found when it is printed or at the very end."""
    sqlite_operator.fill()
    command = (sys.executable, "-m", "oqron_sql.cli", "queues", "--url", sqlite_operator.url)
    with FULL.open("w") as full:
        ended = subprocess.run(
            [*command, *how], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["jobs", "retry", "q"], "either ids of jobs or --all"),
        (["jobs", "retry", "q", "id", "--all"], "either ids of jobs or --all"),
        (["jobs", "show", "q"], "Missing argument"),
        (["jobs", "list", "q", "--state", "lost"], "'lost' is not one of"),
        (["jobs", "list", "q", "--limit", "0"], "'--limit'"),
        (["jobs", "list", "q", "--offset", "9" * 30], "'--offset'"),
        (["jobs", "list", ""], "queue: must have 1 to 255 characters"),
        (["jobs", "show", "q", "x\ny"], "job_id: must not contain control characters"),
        (["jobs", "cancel", "q" * 256, "id"], "queue: must have 1 to 255 characters"),
        (["pause", "q\x1b[2J"], "queue: must not contain control characters"),
        (["resume", "q", "--name", "n\udcff"], "job_name: must not contain control characters"),
        (["clean", "q", *OF_FAILED], "Missing option '--older-than'"),
        (["clean", "q", *OLD], "Missing option '--state'"),
        (["clean", "q", *OF_FAILED, "--older-than", "long"], "--older-than: must read like"),
        (["clean", "q", *OF_FAILED, "--older-than", CENTURIES], "longer than a century"),
        (["doctor", "--max-wait", "-1s"], "--max-wait: must read like"),
        (["doctor", "--prefix", "DROP TABLE"], "prefix 'DROP TABLE' is not a safe identifier"),
        (["migrate", "upgrade", "--to", "nowhere"], "there is no revision 'nowhere'"),
        (["migrate", "sql", "--prefix", "x;"], "prefix 'x;' is not a safe identifier"),
        (["queues", "--prefix", "other_"], "no oqron_sql tables"),
        (["queues", "--schema", "elsewhere"], "no oqron_sql tables"),
    ],
)
def test_wrong_input(sqlite_operator: Operator, arguments: list[str], said: str) -> None:
    refused(sqlite_operator.run(*arguments), said)


@pytest.mark.parametrize(
    "arguments",
    [
        ["jobs", "list", "q"],
        ["jobs", "list", HOSTILE, "--name", "nobody's"],
        ["jobs", "retry", "q", "--all"],
        ["jobs", "promote", "q", "--all"],
        ["clean", "q", *OF_FAILED, *OLD],
    ],
)
def test_an_unknown_queue_is_not_found(sqlite_operator: Operator, arguments: list[str]) -> None:
    sqlite_operator.fill()
    outcome = sqlite_operator.run(*arguments)
    if HOSTILE in arguments:
        assert (outcome.status, outcome.said) == (0, "0 of 0\n")
    else:
        refused(outcome, "queue 'q' has no jobs", status=1)


def test_a_queue_of_nearly_that_name_is_pointed_out(sqlite_operator: Operator) -> None:
    sqlite_operator.fill("mails")
    refused(sqlite_operator.run("jobs", "list", "mail"), "did you mean 'mails'?", status=1)
    paused = sqlite_operator.run("pause", "mail")
    assert (paused.status, paused.said) == (0, "Queue 'mail' is paused.\n")
    assert "has no jobs (yet); did you mean 'mails'?\n" in paused.errors
    assert sqlite_operator.run("pause", "other").errors.endswith("has no jobs (yet).\n")


@pytest.mark.parametrize("command", ["queues", "migrate check", "doctor"])
def test_tables_with_another_prefix_are_pointed_out(
    sqlite_operator: Operator, command: str
) -> None:
    outcome = sqlite_operator.run(*command.split(), "--prefix", "x_")
    there = "with this prefix (there are tables with the prefix 'oqron_')"
    assert there in outcome.said + outcome.errors
    elsewhere = sqlite_operator.run(*command.split(), "--schema", "elsewhere")
    assert "there are tables" not in elsewhere.said + elsewhere.errors


@pytest.mark.parametrize(
    "command", ["queues", "jobs list q", "jobs retry q --all", "migrate check"]
)
def test_what_is_advised_is_a_command_for_the_same_tables(
    sqlite_operator: Operator, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    named = ("--prefix", "other_")
    outcome = sqlite_operator.run(*command.split(), *named)
    url = sqlite_operator.url
    advice = f"Upgrade the tables with `oqron-sql migrate upgrade --url {url} --prefix other_`."
    assert (outcome.errors + outcome.said).strip().endswith(advice)
    assert "oqron_sql.migrate" not in outcome.errors + outcome.said

    monkeypatch.setenv("OQRON_URL", url)  # which is there when the advice is followed
    assert sqlite_operator.run("migrate", "upgrade", *named).status == 0
    for arguments, advised in (
        (("jobs", "list", "q", *named), "oqron-sql queues --prefix other_"),
        (("clean", "q", *OF_FAILED, *OLD, *named), "oqron-sql queues --prefix other_"),
        (
            ("schedules", "show", *named, "--", "-q", "k"),
            "oqron-sql schedules list --prefix other_ -- -q",
        ),
    ):
        assert f"; `{advised}` lists those" in sqlite_operator.run_here(*arguments).errors


@pytest.mark.parametrize(
    "command", ["queues", "doctor", "migrate sql", "migrate upgrade", "bench", "demo", "worker"]
)
def test_a_database_by_another_name_is_told_its_own(run_here: RunHere, command: str) -> None:
    what = ["tests.cli.workers:handlers", "--queue", "q"] if command == "worker" else []
    outcome = run_here(*command.split(), *what, "--url", "postgres://me:s3cret@host/shop")
    refused(outcome, "write postgresql:// in place of postgres://")
    assert "s3cret" not in outcome.errors


def test_a_url_with_a_password_is_not_repeated() -> None:
    database = Database("postgresql://me:s3cret@h/db", "other_", "shop")
    advised = database.advise("jobs promote", "--all", queue="my mail")
    assert advised == (
        "`oqron-sql jobs promote 'my mail' --all --url URL --prefix other_ --schema shop`"
    )


def test_an_unknown_job_is_not_found(sqlite_operator: Operator) -> None:
    refused(sqlite_operator.run("jobs", "show", "q", "id"), "queue 'q' has no job 'id'", status=1)


@pytest.mark.parametrize("command", ["queues", "doctor", "migrate current", "migrate check"])
def test_no_file_is_made_by_looking_for_it(
    run_here: RunHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(run_here(*command.split()), "there is no file oqron.db")
    refused(run_here(*command.split(), "--url", "nonsense"), "not a database URL")
    refused(run_here(*command.split(), "--url", "sqlite://"), "memory of one process")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "driver"),
    [("doctor", "postgresql+asyncpg"), ("migrate upgrade", "mysql+pymysql")],
)
def test_a_server_that_is_gone_is_told(run_here: RunHere, command: str, driver: str) -> None:
    outcome = run_here(*command.split(), "--url", f"{driver}://me:s3cret@127.0.0.1:1/db")
    refused(outcome, "oqron-sql: the database did not complete connect: ")
    assert outcome.errors.count("\n") == 1
    assert "s3cret" not in outcome.errors


def test_a_password_that_is_refused_is_not_shown(run_here: RunHere, mariadb: Server) -> None:
    url = mariadb.url("pymysql").replace(f"root:{PASSWORD}@", "root:s3cret@")
    outcome = run_here("doctor", "--url", url)
    refused(outcome, "Access denied for user 'root'")
    assert "s3cret" not in outcome.errors


def test_a_database_that_is_missing_is_told(run_here: RunHere, postgresql: Server) -> None:
    url = postgresql.url("asyncpg", "nowhere").replace(f"postgres:{PASSWORD}@", "postgres:s3cret@")
    outcome = run_here("queues", "--url", url)
    refused(outcome, 'database "nowhere" does not exist')
    assert "s3cret" not in outcome.errors


def test_a_server_that_never_answers_can_be_left(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+asyncpg://me:s3cret@127.0.0.1:{silent.getsockname()[1]}/db"
        command = start("doctor", OQRON_URL=url)
        silent.settimeout(PATIENCE)
        connection, _ = silent.accept()
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130, command.said
        connection.close()
    assert "Traceback" not in command.said
    assert "s3cret" not in command.said


class Terminal(io.StringIO):
    """A person who has typed an answer."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("command", ["clean", "remove"])
def test_a_person_is_asked_before_jobs_are_deleted(
    sqlite_operator: Operator, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    ids = sqlite_operator.fill()
    arguments = {
        "clean": ["clean", HOSTILE, *OF_FAILED, "--older-than", "0s"],
        "remove": ["jobs", "remove", HOSTILE, ids["failed"]],
    }[command]

    def failed() -> int:
        count: int = sqlite_operator.read("queues")[0]["counts"]["failed"]
        return count

    for answer in ("n\n", "\n", ""):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        outcome = sqlite_operator.run(*arguments)
        assert (outcome.status, outcome.said.strip(), failed()) == (1, "", 1)
        assert f"of queue {HOSTILE!r}" in outcome.errors
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert sqlite_operator.run(*arguments).status == 0
    assert failed() == 0
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert "Delete" not in sqlite_operator.run(*arguments, "--yes").errors
