"""The databases that migrations are tested on: empty ones at will, and what is in them."""

from __future__ import annotations

import itertools
import re
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from oqron_sql import dialects
from tests.servers import PASSWORD, Server

numbers = itertools.count(1)
Tables = dict[str, Any]


class Target(ABC):
    """One kind of database."""

    name: str
    blocking: str
    awaitable: str
    transactional = True

    @abstractmethod
    def fresh(self) -> sa.URL:
        """Make an empty database and return its URL for the blocking driver."""

    @abstractmethod
    def feed(self, url: sa.URL, script: str) -> None:
        """Run `script` as an administrator would, with the server's own client."""

    @abstractmethod
    def tables(self, conn: sa.Connection, schema: str | None = None) -> Tables:
        """Return the definition of every table, in all the detail the database gives."""

    @abstractmethod
    def settings(self, conn: sa.Connection) -> list[Any]:
        """Return what an unfriendly guest might have changed about a connection."""

    def asynchronous(self, url: sa.URL) -> sa.URL:
        return url.set(drivername=self.awaitable)

    def offline(self, url: sa.URL) -> sa.URL:
        """Return the URL that tells which SQL to write when no server is asked."""
        return url

    def offline_async(self, url: sa.URL) -> sa.URL:
        return self.asynchronous(url)

    def describe(self, engine: sa.Engine, schema: str | None = None) -> Tables:
        """Return the definition of every table except those that hold a revision."""
        with engine.connect() as conn:
            found = self.tables(conn, schema)
        return {name: made for name, made in found.items() if not name.endswith("alembic_version")}


class SQLite(Target):
    name, blocking, awaitable = "sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fresh(self) -> sa.URL:
        return sa.URL.create(self.blocking, database=str(self._folder / f"{next(numbers)}.db"))

    def feed(self, url: sa.URL, script: str) -> None:
        with sqlite3.connect(str(url.database)) as conn:
            conn.executescript(script)
        conn.close()

    def tables(self, conn: sa.Connection, schema: str | None = None) -> Tables:
        query = (
            "SELECT tbl_name, type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 2"
        )
        made: Tables = {}
        for table, *what in conn.exec_driver_sql(query):
            if not table.startswith("sqlite_"):
                made.setdefault(table, set()).add((what[0], what[1], " ".join(what[2].split())))
        return made

    def settings(self, conn: sa.Connection) -> list[Any]:
        driver: Any = conn.connection.driver_connection
        return [
            conn.exec_driver_sql("PRAGMA busy_timeout").scalar(),
            driver.isolation_level,
            sorted(conn.info),
        ]


class PostgreSQL(Target):
    name, blocking, awaitable = "postgresql", "postgresql+psycopg", "postgresql+asyncpg"

    def __init__(self, server: Server) -> None:
        self._server = server

    def fresh(self) -> sa.URL:
        return new_database(self._server, sa.make_url(self._server.url("psycopg")))

    def feed(self, url: sa.URL, script: str) -> None:
        client = ("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres")
        run_client([*client, "-p", str(url.port), str(url.database)], script)

    def tables(self, conn: sa.Connection, schema: str | None = None) -> Tables:
        relations = """
            SELECT c.relname, c.oid, c.reloptions FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND n.nspname = :schema
        """
        parts = (
            """
            SELECT attname, format_type(atttypid, atttypmod), attcollation::regcollation,
                attnotnull, pg_get_expr(adbin, adrelid)
            FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE attrelid = :oid AND attnum > 0 ORDER BY attnum
            """,
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = :oid ORDER BY 1",
            """
            SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conrelid = :oid ORDER BY 1
            """,
        )
        return {
            table: [options, *(read(conn, part, oid=oid) for part in parts)]
            for table, oid, options in read(conn, relations, schema=schema or "public")
        }

    def settings(self, conn: sa.Connection) -> list[Any]:
        names = ("lock_timeout", "statement_timeout", "transaction_isolation", "search_path")
        shown = [conn.scalar(sa.select(sa.func.current_setting(name))) for name in names]
        driver: Any = conn.connection.driver_connection
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        return [*shown, driver.autocommit, conn.scalar(sa.text(held)), sorted(conn.info)]


class MariaDB(Target):
    name, blocking, awaitable = "mariadb", "mysql+pymysql", "mysql+asyncmy"
    transactional = False

    def __init__(self, server: Server) -> None:
        self._server = server

    def fresh(self) -> sa.URL:
        return new_database(self._server, sa.make_url(self._server.url("pymysql")))

    def feed(self, url: sa.URL, script: str) -> None:
        client = ("mariadb", "--no-defaults", "-h", "127.0.0.1", "-u", "root", f"-p{PASSWORD}")
        run_client([*client, "-P", str(url.port), str(url.database)], script)

    def tables(self, conn: sa.Connection, schema: str | None = None) -> Tables:
        made = {}
        for name in sa.inspect(conn).get_table_names(schema):
            quoted = f"`{schema}`.`{name}`" if schema else f"`{name}`"
            text = conn.exec_driver_sql(f"SHOW CREATE TABLE {quoted}").one()[1]
            lines = re.sub(r" AUTO_INCREMENT=\d+", "", text).splitlines()
            made[name] = sorted(line.rstrip(",") for line in lines)
        return made

    def settings(self, conn: sa.Connection) -> list[Any]:
        names = ("autocommit", "tx_isolation", "lock_wait_timeout", "sql_mode")
        shown = [conn.exec_driver_sql(f"SELECT @@{name}").scalar() for name in names]
        held = conn.exec_driver_sql("SELECT RELEASE_ALL_LOCKS()").scalar()
        return [*shown, held, sorted(conn.info)]

    def offline(self, url: sa.URL) -> sa.URL:
        return url.set(drivername="mariadb+pymysql")

    def offline_async(self, url: sa.URL) -> sa.URL:
        return url.set(drivername="mariadb+asyncmy")


def new_database(server: Server, url: sa.URL) -> sa.URL:
    name = f"migrations_{next(numbers)}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.exec_driver_sql(f"CREATE DATABASE {name}")
    admin.dispose()
    return url.set(database=name)


def store_engine(url: sa.URL) -> sa.Engine:
    """Return an engine as a store makes one of a URL."""
    dialect = dialects.get(url.get_backend_name())
    engine = sa.create_engine(url, **dialect.engine_options(url))
    dialect.prepare(engine)
    return engine


def read(conn: sa.Connection, query: str, **values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in conn.execute(sa.text(query), values)]


def run_client(command: list[str], script: str) -> None:
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
