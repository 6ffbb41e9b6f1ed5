"""The doctor finds what is wrong, says what to do, and sends nobody away who is well."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import JobOptions, new_job
from oqron_sql.dialects import Dialect, mysql_health, postgresql_health, sqlite_health
from oqron_sql.dialects.sqlite import SQLite
from oqron_sql.errors import UnsupportedDatabase
from oqron_sql.testing.steps import PAYLOAD
from tests.cli.conftest import RunHere
from tests.cli.operating import HOSTILE, Operator
from tests.servers import PASSWORD, Server

VERSIONS = {"sqlite": "SQLite 3.", "pg-asyncpg": "PostgreSQL ", "maria-pymysql": "MariaDB "}
TEST_SERVERS_RISK_IT = {
    "sqlite": [],
    "pg-asyncpg": ["fsync", "full_page_writes"],
    "maria-pymysql": ["innodb_flush_log_at_trx_commit"],
}


def problems(report: dict[str, Any], about: str) -> list[str]:
    return [each["problem"] for each in report["findings"] if each["about"] == about]


def test_what_is_wrong_is_found(operator: Operator, operated: str) -> None:
    operator.fill("well")
    operator.fill(ago=timedelta(hours=3))
    late = JobOptions(delay=timedelta(hours=1))
    with operator.store(ago=timedelta(hours=3)) as store:
        store.save_job(HOSTILE, new_job(HOSTILE, "late", PAYLOAD, late))
    operator.run("pause", "well", "--name", "newsletter")

    report = operator.read("doctor", status=1)
    assert not report["healthy"]
    assert report["server"].startswith(VERSIONS[operated])
    risks = [problem.split()[0] for problem in problems(report, "server")]
    assert risks == TEST_SERVERS_RISK_IT[operated]
    assert problems(report, "queue 'well'") == ["has paused job names: 'newsletter'"]
    lost, *others = problems(report, f"queue {HOSTILE!r}")
    assert lost.startswith("1 lease ran out, the first 60 min ago, and nobody took the jobs back")
    assert others == ["a delayed job has been due for 2 h", "a job has been waiting for 3 h"]
    sick, well = report["queues"]
    assert (sick["name"], sick["lost"], sick["paused"]) == (HOSTILE, 1, False)
    assert 10_800 <= sick["oldest_waiting"] < 10_860
    assert well["paused_names"] == ["newsletter"]
    assert {name: well[name] for name in ("waiting", "active", "delayed", "failed")} == (
        dict.fromkeys(("waiting", "active", "delayed", "failed"), 1)
    )

    outcome = operator.run("doctor", "--max-wait", "4 hours")
    assert outcome.status == 1
    assert "a job has been waiting" not in outcome.said
    assert f"WRONG: queue {HOSTILE!r}: a delayed job" in outcome.said
    assert "note: queue 'well': has paused" in outcome.said
    assert "`oqron-sql resume well --name newsletter --url " in outcome.said
    assert outcome.said.endswith("Something is wrong.\n")
    assert PAYLOAD not in outcome.said + str(report)


def test_what_is_well_is_not_complained_of(sqlite_operator: Operator) -> None:
    sqlite_operator.fill()
    outcome = sqlite_operator.run("doctor")
    assert (outcome.status, outcome.errors) == (0, "")
    assert outcome.said.endswith("Nothing is wrong.\n")
    assert "journal_mode = wal" in outcome.said
    sqlite_operator.run("pause", HOSTILE)
    assert sqlite_operator.read("doctor")["findings"][0]["problem"] == "is paused"


def test_missing_and_newer_tables_are_found(sqlite_operator: Operator) -> None:
    report = sqlite_operator.read("doctor", "--prefix", "other_", status=1)
    assert report["revision"] is None
    (finding,) = report["findings"]
    assert finding["problem"].startswith("are missing")
    command = f"oqron-sql migrate upgrade --url {sqlite_operator.url} --prefix other_"
    assert finding["remedy"] == f"Upgrade the tables with `{command}`."
    engine = sa.create_engine(sqlite_operator.url)
    with engine.begin() as conn:
        conn.exec_driver_sql("UPDATE oqron_alembic_version SET version_num = 'oqron9999'")
    engine.dispose()
    report = sqlite_operator.read("doctor", status=1)
    assert report["revision"] == "oqron9999"
    assert "upgrade this application" in report["findings"][0]["remedy"]


def test_a_server_that_cannot_be_used_is_a_finding(
    sqlite_operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: SQLite, conn: sa.Connection) -> None:
        raise UnsupportedDatabase("SQLite", "it is too old", "Take a newer one.")

    monkeypatch.setattr(SQLite, "check_server", refuse)
    report = sqlite_operator.read("doctor", status=1)
    assert report["server"] == "cannot be used"
    assert [(f["problem"], f["remedy"]) for f in report["findings"]] == [
        ("it is too old", "Take a newer one.")
    ]


def test_what_holds_vacuum_and_purge_back_is_found(
    operator: Operator, operated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_health, "OLD_SNAPSHOT", timedelta(0))
    monkeypatch.setattr(postgresql_health, "MANY_DEAD", 0)
    monkeypatch.setattr(mysql_health, "OLD_TRANSACTION", timedelta(0))
    monkeypatch.setattr(sqlite_health, "LARGE_LOG", 1)
    for health in (postgresql_health, mysql_health):
        monkeypatch.setattr(health, "CROWDED", 0)
    engine = sa.create_engine(operator.blocking_url)
    with engine.connect() as conn:
        conn.exec_driver_sql("INSERT INTO oqron_pauses VALUES ('q', 'committed')")
        conn.commit()
        conn.exec_driver_sql("INSERT INTO oqron_pauses VALUES ('q', 'still open')")
        found = operator.read("doctor", status=1)
    engine.dispose()
    said = " ".join(finding["problem"] for finding in found["findings"])
    if operated == "sqlite":
        assert "the write-ahead log is" in said
    else:
        assert "has had its transaction open for" in said
        assert "connections are in use" in said
    assert ("dead tuples to 0 live ones" in said) == (operated == "pg-asyncpg")


def test_a_database_that_nobody_knows_tells_its_version(
    sqlite_operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLite, "examine", Dialect.examine)
    report = sqlite_operator.read("doctor")
    assert report["server"].startswith("sqlite 3.")
    assert report["settings"] == {}


def test_what_an_application_may_not_see_is_left_out(run_here: RunHere, mariadb: Server) -> None:
    engine = sa.create_engine(mariadb.url("pymysql"))
    with engine.connect() as conn:
        conn.exec_driver_sql("CREATE USER IF NOT EXISTS modest@'127.0.0.1'")
        conn.exec_driver_sql(
            "GRANT SELECT, CREATE TEMPORARY TABLES ON test.* TO modest@'127.0.0.1'"
        )
    engine.dispose()
    url = mariadb.url("pymysql").replace(f"root:{PASSWORD}@", "modest@")
    outcome = run_here("doctor", "--url", url, "--prefix", "absent_")
    assert (outcome.status, outcome.errors) == (1, "")
    assert "oldest transaction = not told without the right PROCESS" in outcome.said
    assert "WRONG: tables: are missing" in outcome.said
