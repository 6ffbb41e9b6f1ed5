"""connect() refuses a server that cannot keep the store's promises, and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from oqron_sql import AsyncSQLStore, SQLStore
from oqron_sql.dialects import sqlite
from oqron_sql.errors import StoreClosed, UnsupportedDatabase
from tests import servers
from tests.conftest import installed
from tests.servers import PASSWORD, Server

PLAIN_USER = (
    "CREATE USER IF NOT EXISTS plain@'127.0.0.1'",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON test.* TO plain@'127.0.0.1'",
)


def refused(bind: Any, **options: Any) -> UnsupportedDatabase:
    """Return why a store of `bind` cannot be connected; it stays closed."""
    store = SQLStore(bind, **options)
    with pytest.raises(UnsupportedDatabase) as raised:
        store.connect()
    with pytest.raises(StoreClosed):
        store.get_job("q", "id")
    error = raised.value
    assert str(error) == f"{error.database}: {error.problem}. {error.remedy}"
    return error


def run(url: str, *statements: str) -> None:
    """Run `statements`, each by itself."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)
    engine.dispose()


Engines = Callable[..., sa.Engine]


@pytest.fixture
def host() -> Iterator[Engines]:
    """Makes a host's engines; with a `version` they take their server for one of that age."""
    made: list[sa.Engine] = []

    def make(url: str, *version: int, **options: Any) -> sa.Engine:
        made.append(sa.create_engine(url, **options))
        if version:
            with made[-1].connect():
                made[-1].dialect.server_version_info = version
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture(scope="module")
def special() -> Iterator[Server]:
    """A MariaDB whose settings may be spoiled."""
    settings = {"log-bin": "binlog", "binlog-format": "STATEMENT"}
    with installed(), servers.mariadb(settings) as server:
        yield server


# -- PostgreSQL --------------------------------------------------------------------------------


def test_an_old_postgresql(postgresql: Server, host: Engines) -> None:
    error = refused(host(postgresql.url("psycopg"), 11, 22))
    assert (error.database, error.problem) == ("PostgreSQL", "version 11.22 is too old")
    assert error.remedy == "Version 12 or later is needed."


def test_a_session_that_may_not_write(postgresql: Server) -> None:
    url = postgresql.url("psycopg")
    error = refused(f"{url}?options=-cdefault_transaction_read_only%3Don")
    assert "read-only" in error.problem
    assert "default_transaction_read_only" in error.remedy


async def test_a_session_that_may_not_write_awaited(postgresql: Server) -> None:
    settings = {"server_settings": {"default_transaction_read_only": "on"}}
    engine = create_async_engine(postgresql.url("asyncpg"), connect_args=settings)
    with pytest.raises(UnsupportedDatabase, match="read-only"):
        await AsyncSQLStore(engine).connect()
    await engine.dispose()


async def test_a_database_without_an_encoding(postgresql: Server) -> None:
    url = postgresql.url("psycopg")
    run(url, "CREATE DATABASE no_utf8 ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(UnsupportedDatabase, match="SQL_ASCII"):
        await AsyncSQLStore(postgresql.url("asyncpg", "no_utf8")).connect()
    error = refused(postgresql.url("psycopg", "no_utf8"))
    assert error.problem == "the database's encoding is SQL_ASCII, not UTF8"
    assert "ENCODING" in error.remedy


def test_a_standby() -> None:
    with installed(), servers.postgresql() as server:
        (server.folder / "data" / "standby.signal").touch()
        server.restart()
        error = refused(server.url("psycopg"))
    assert "standby" in error.problem
    assert "primary" in error.remedy


# -- MariaDB -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(10, 5, 27), (10, 3)])
def test_an_old_mariadb(mariadb: Server, host: Engines, version: tuple[int, ...]) -> None:
    error = refused(host(mariadb.url("pymysql"), *version))
    assert error.database == "MariaDB"
    assert ".".join(map(str, version)) in error.problem
    assert error.remedy == "Version 10.6 or later is needed."


def test_an_old_mysql(mariadb: Server, host: Engines) -> None:
    engine = host(mariadb.url("pymysql"), 8, 0, 11)
    engine.dialect.is_mariadb = False  # type: ignore[attr-defined]  # as a MySQL's would be
    error = refused(engine)
    assert (error.database, error.remedy) == ("MySQL", "Version 8.0.17 or later is needed.")


def test_a_binary_log_of_statements(special: Server) -> None:
    error = refused(special.url("pymysql"))
    assert "binlog_format" in error.problem
    assert error.remedy == "Set binlog_format to ROW or MIXED."


def test_a_read_only_mariadb(special: Server) -> None:
    root = special.url("pymysql")
    run(root, *PLAIN_USER, "SET GLOBAL binlog_format = 'ROW'")
    SQLStore(root).connect()
    run(root, "SET GLOBAL read_only = 1")
    try:
        error = refused(root.replace(f"root:{PASSWORD}@", "plain@"), migrate="check")
        SQLStore(root).connect()  # who may write all the same is let in
    finally:
        run(root, "SET GLOBAL read_only = 0", "SET GLOBAL binlog_format = 'STATEMENT'")
    assert error.problem == "the server is read-only"
    assert "primary" in error.remedy


def test_a_user_who_may_only_write_rows(special: Server) -> None:
    root = special.url("pymysql")
    run(root, *PLAIN_USER, "SET GLOBAL binlog_format = 'ROW'")
    SQLStore(root).connect()
    with SQLStore(root.replace(f"root:{PASSWORD}@", "plain@"), migrate="check") as store:
        assert store.list_queues() == []


def test_a_driver_that_counts_changed_rows(mariadb: Server, host: Engines) -> None:
    error = refused(host(mariadb.url("pymysql"), connect_args={"client_flag": 0}))
    assert "matched rows" in error.problem
    assert "FOUND_ROWS" in error.remedy


# -- SQLite ------------------------------------------------------------------------------------


def test_an_old_sqlite(tmp_path: Path, host: Engines) -> None:
    engine = host(f"sqlite:///{tmp_path}/jobs.db")

    @sa.event.listens_for(engine, "connect")
    def grow_old(driver: Any, _record: Any) -> None:
        driver.create_function("sqlite_version", 0, lambda: "3.34.1")

    error = refused(engine)
    assert (error.database, error.problem) == ("SQLite", "version 3.34.1 is too old")


@pytest.fixture
def on_nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that seems to be on a server."""
    folder = tmp_path / "share of Größe"
    folder.mkdir()
    mount = str(folder).replace(" ", r"\040")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:21 / / rw - ext4 /dev/root rw\n"
        f"23 22 0:22 / {mount} rw,relatime shared:1 - nfs4 server:/share rw\n"
    )
    monkeypatch.setattr(sqlite, "MOUNTS", str(mounts))
    return folder


def test_a_write_ahead_log_on_a_network_filesystem(on_nfs: Path) -> None:
    url = f"sqlite:///{on_nfs}/jobs.db"
    run(url, "PRAGMA journal_mode = WAL")
    error = refused(url)
    assert "WAL" in error.problem
    assert "nfs4" in error.problem
    assert "local disk" in error.remedy


def test_a_network_filesystem_without_one(on_nfs: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It works for one host; the log says so."""
    with SQLStore(f"sqlite:///{on_nfs}/jobs.db") as store:
        mode = store.run(lambda tx: tx.conn.exec_driver_sql("PRAGMA journal_mode").scalar())
    assert mode == "delete"
    assert "nfs4" in caplog.text


@pytest.mark.parametrize(
    ("line", "kind"),
    [("23 22 0:22 / /elsewhere rw - nfs4 server:/share rw", "ext4"), ("", "ext4"), (None, "")],
    ids=["elsewhere", "no other", "not Linux"],
)
def test_the_filesystem_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str | None, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    if line is not None:
        mounts.write_text(f"22 1 0:21 / / rw - ext4 /dev/root rw\n{line}\n".rstrip() + "\n")
    monkeypatch.setattr(sqlite, "MOUNTS", str(mounts))
    assert sqlite.filesystem(str(tmp_path / "elsewhere-else.db")) == kind


def test_a_second_try_may_succeed(postgresql: Server) -> None:
    """A refused store can be connected once its database is put right."""
    url = postgresql.url("psycopg")
    run(
        url,
        "CREATE DATABASE put_right",
        "ALTER DATABASE put_right SET default_transaction_read_only = on",
    )
    store = SQLStore(postgresql.url("psycopg", "put_right"))
    with pytest.raises(UnsupportedDatabase):
        store.connect()
    run(url, "ALTER DATABASE put_right SET default_transaction_read_only = off")
    store.disconnect()
    with store:
        assert store.list_queues() == []
