"""A server and its replica, which takes its place; both look like one server."""

from __future__ import annotations

import contextlib
import itertools
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests import servers
from tests.servers.programs import find, run

WITHIN = 30.0
"""How many seconds a replica may take until it has what the primary has."""


class Pair(servers.Server):
    """A primary and a replica: a URL leads to the primary, a new connection to `reached`.

    Whoever was the primary before is left alone, with its open connections, until the next one is
    promoted, or it is the replica.
    """

    driver: str

    def __init__(
        self, settings: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> None:
        self.settings = dict(settings or {})
        self.primary, self.replica = self.made(folder), self.made()
        self.former = self.reached = self.primary

    @abstractmethod
    def made(self, folder: Path | None = None) -> servers.Server:
        """Return a server that is not prepared yet."""

    @abstractmethod
    def attach(self) -> None:
        """Have a replica that is given whatever is acknowledged."""

    @abstractmethod
    def fence(self) -> None:
        """Let nobody write to the primary any more, and end no session."""

    @abstractmethod
    def promote(self) -> None:
        """Let the replica take the place of the primary, for new connections."""

    @property
    def port(self) -> int:  # type: ignore[override]  # a server has one, we have two
        return self.primary.port

    def entrance(self) -> int:
        return self.reached.port

    def url(self, driver: str, database: str | None = None) -> str:
        return self.primary.url(driver, database)

    def prepare(self) -> None:
        self.primary.prepare()

    def start(self) -> None:
        self.primary.start()
        self.attach()

    def kill9(self) -> None:
        self.primary.kill9()

    def stop(self) -> None:
        for each in (self.primary, self.replica, self.former):
            each.stop()

    @contextlib.contextmanager
    def admin(self, server: servers.Server) -> Iterator[sa.Connection]:
        """Open a connection that commits by itself, with all rights."""
        options: Any = {"isolation_level": "AUTOCOMMIT", "poolclass": sa.NullPool}
        with sa.create_engine(server.url(self.driver), **options).connect() as connection:
            yield connection


class PostgreSQLPair(Pair, servers.PostgreSQL):
    """The standby is synchronous; there is a new one after each promotion."""

    driver = "psycopg"

    def made(self, folder: Path | None = None) -> servers.Server:
        # Else a standby that lost its primary is deaf for five seconds.
        settings = {"wal_retrieve_retry_interval": "200ms", **self.settings}
        return servers.PostgreSQL(settings, folder)

    def attach(self) -> None:
        folder = self.replica.folder / "data"
        source = f"host=127.0.0.1 port={self.port} user={self.user}"
        copying = ("-D", str(folder), "-R", "-N", "-c", "fast", "-d", source)
        run(self.replica.run_as_owner(find("pg_basebackup"), *copying))
        self.replica.start()
        with self.admin(self.primary) as primary:
            primary.exec_driver_sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.exec_driver_sql("SELECT pg_reload_conf()")
            has_all = (
                "SELECT bool_or(sync_state = 'sync' AND flush_lsn >= pg_current_wal_lsn())"
                " FROM pg_stat_replication"
            )
            deadline = time.monotonic() + WITHIN
            while not primary.exec_driver_sql(has_all).scalar():
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the standby did not catch up:\n{self.replica.log()}")
                time.sleep(0.05)

    def fence(self) -> None:
        with self.admin(self.primary) as primary:
            primary.exec_driver_sql("ALTER SYSTEM SET default_transaction_read_only = on")
            primary.exec_driver_sql("SELECT pg_reload_conf()")

    def promote(self) -> None:
        with self.admin(self.replica) as standby:
            standby.exec_driver_sql("SELECT pg_promote()")
        if self.former is not self.primary:
            self.former.stop()
        self.former, self.primary, self.reached = self.primary, self.replica, self.replica
        self.replica = self.made()


class MariaDBPair(Pair, servers.MariaDB):
    """The replica follows by global transaction ids, and the two change places."""

    driver = "pymysql"

    def __init__(
        self, settings: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> None:
        self._numbers = itertools.count(1)
        super().__init__(settings, folder)

    def made(self, folder: Path | None = None) -> servers.Server:
        settings = {"server-id": str(next(self._numbers)), "log-bin": "log", "binlog-format": "ROW"}
        settings |= {"log-slave-updates": "ON", **self.settings}
        return servers.MariaDB(settings, folder)

    def prepare(self) -> None:
        for each in (self.primary, self.replica):
            each.prepare()
            made = each.folder / "init.sql"  # by each for itself
            made.write_text("SET sql_log_bin = 0;\n" + made.read_text())
        self.replica.start()

    def attach(self) -> None:
        with self.admin(self.replica) as replica:
            replica.exec_driver_sql("SET GLOBAL read_only = ON")
            replica.exec_driver_sql(
                f"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {self.port},"
                f" MASTER_USER = '{self.user}', MASTER_PASSWORD = '{servers.PASSWORD}',"
                " MASTER_USE_GTID = current_pos"
            )
            replica.exec_driver_sql("START SLAVE")
        self._catch_up()

    def fence(self) -> None:
        with self.admin(self.primary) as primary:
            primary.exec_driver_sql("SET GLOBAL read_only = ON")

    def promote(self) -> None:
        self._catch_up()
        with self.admin(self.replica) as replica:
            replica.exec_driver_sql("STOP SLAVE")
            replica.exec_driver_sql("RESET SLAVE ALL")
            replica.exec_driver_sql("SET GLOBAL read_only = OFF")
        self.former, self.primary, self.replica = self.primary, self.replica, self.primary
        self.reached = self.primary

    def _catch_up(self) -> None:
        with self.admin(self.primary) as primary:
            here = primary.exec_driver_sql("SELECT @@gtid_binlog_pos").scalar()
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            with contextlib.suppress(sa.exc.DBAPIError), self.admin(self.replica) as replica:
                waiting = sa.text("SELECT MASTER_GTID_WAIT(:here, 5)")
                if replica.scalar(waiting, {"here": here}) == 0:
                    return
        raise RuntimeError(f"the replica did not catch up:\n{self.replica.log()}")


def postgresql(
    settings: Mapping[str, str] | None = None,
) -> contextlib.AbstractContextManager[servers.Server]:
    """Return a context with a PostgreSQL and its standby.

    Raises:
        servers.Missing: it is not installed.
    """
    find("postgres", "initdb", "pg_isready", "pg_basebackup")
    return servers.running(PostgreSQLPair, settings)


def mariadb(
    settings: Mapping[str, str] | None = None,
) -> contextlib.AbstractContextManager[servers.Server]:
    """Return a context with a MariaDB and its replica.

    Raises:
        servers.Missing: it is not installed.
    """
    find("mariadbd", "mariadb-install-db")
    return servers.running(MariaDBPair, settings)
