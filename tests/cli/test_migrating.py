"""The tables are made and looked at by commands of their own, and by nothing else."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from oqron_sql import migrate
from tests.cli.conftest import RunHere
from tests.cli.operating import Operator


def test_tables_are_made_checked_and_looked_at(run_here: RunHere, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    (tmp_path / "new.db").touch()
    before = run_here("migrate", "check", "--url", url)
    assert before.status == 1
    assert "no oqron_sql tables" in before.said
    assert run_here("queues", "--url", url).status == 2
    assert run_here("migrate", "current", "--url", url).said == "There are no tables.\n"

    head = migrate.head()
    told = {"current": head, "head": head, "up_to_date": True}
    for _ in range(2):
        upgraded = run_here("migrate", "upgrade", "--url", url, "--json")
        assert (upgraded.status, json.loads(upgraded.said)) == (0, told)
    assert json.loads(run_here("migrate", "check", "--url", url, "--json").said) == told
    assert run_here("queues", "--url", url).status == 0


def test_a_file_is_made_by_upgrading_alone(run_here: RunHere, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'new.db'}"
    assert run_here("migrate", "upgrade", "--url", url, "--prefix", "mine_").status == 0
    assert run_here("migrate", "check", "--url", url, "--prefix", "mine_").status == 0
    assert run_here("migrate", "check", "--url", url).status == 1


def test_newer_tables_are_left_alone(sqlite_operator: Operator) -> None:
    engine = sa.create_engine(sqlite_operator.url)
    with engine.begin() as conn:
        conn.exec_driver_sql("UPDATE oqron_alembic_version SET version_num = 'oqron9999'")
    engine.dispose()
    assert sqlite_operator.read("migrate", "check", status=1)["current"] == "oqron9999"
    outcome = sqlite_operator.run("migrate", "upgrade")
    assert outcome.status == 2
    assert "upgrade this application" in outcome.errors


def test_the_sql_is_what_makes_the_tables(run_here: RunHere, tmp_path: Path) -> None:
    path = tmp_path / "made.db"
    written = run_here("migrate", "sql", "--url", f"sqlite:///{path}", "--prefix", "mine_")
    assert (written.status, written.errors, path.exists()) == (0, "", False)
    with sqlite3.connect(path) as conn:
        conn.executescript(written.said)
    conn.close()
    checked = ("migrate", "check", "--url", f"sqlite:///{path}", "--prefix", "mine_")
    assert run_here(*checked).status == 0


def test_the_sql_may_begin_where_the_tables_are(run_here: RunHere, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    assert run_here("migrate", "upgrade", "--url", url, "--to", "oqron0001").status == 0
    written = run_here("migrate", "sql", "--url", url, "--from", "oqron0001")
    assert "CREATE TABLE oqron_jobs" not in written.said
    with sqlite3.connect(tmp_path / "old.db") as conn:
        conn.executescript(written.said)
    conn.close()
    assert run_here("migrate", "check", "--url", url).status == 0
    unknown = run_here("migrate", "sql", "--url", url, "--from", "nowhere")
    assert (unknown.status, unknown.said) == (2, "")
    assert "there is no revision 'nowhere'" in unknown.errors


def test_the_sql_needs_no_server_and_tells_no_password(run_here: RunHere) -> None:
    url = "postgresql+asyncpg://me:s3%25cret@127.0.0.1:1/db"
    written = run_here("migrate", "sql", "--url", url, "--schema", "jobs")
    assert written.status == 0
    assert "CREATE TABLE jobs.oqron_jobs" in written.said
    assert "s3" not in written.said
