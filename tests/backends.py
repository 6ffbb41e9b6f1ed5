"""Every backend the tests run on, one line each, and how a store of it is opened empty.

A backend's tables are migrated once per session, in a database of its own; each test finds them
empty. Stores are opened by each test, on its own event loop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import sqlalchemy as sa

from oqron_sql import AsyncMemoryStore, AsyncSQLStore, AsyncStore, MemoryStore, Metrics, SQLStore
from oqron_sql.contract import Clock
from oqron_sql.memory.data import MemoryData
from oqron_sql.testing import StoreHarness, awaited
from tests import servers

PREFIX = "oqron_"
OWN_CLOCK = "its clock is that of the process"


@dataclasses.dataclass(frozen=True)
class Backend:
    """A database, a driver, and which of the two stores uses them."""

    name: str
    server: str | None = None  # one of servers.STARTERS, or a file
    driver: str = ""
    blocking: bool = False
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def in_memory(self) -> bool:
        """Whether there is no SQL at all."""
        return not self.driver


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("memory"),
        Backend("memory-blocking", blocking=True),
        Backend("sqlite", driver="pysqlite", blocking=True),
        Backend("sqlite-thread", driver="pysqlite"),
        Backend("aiosqlite", driver="aiosqlite"),
        Backend("pg-asyncpg", "postgresql", "asyncpg"),
        Backend("pg-psycopg", "postgresql", "psycopg"),
        Backend("pg-psycopg-blocking", "postgresql", "psycopg", blocking=True),
        Backend("maria-pymysql", "mariadb", "pymysql", blocking=True),
        Backend("maria-pymysql-thread", "mariadb", "pymysql"),
        Backend("maria-asyncmy", "mariadb", "mariadb+asyncmy"),
    )
}
BLOCKING_DRIVERS = {"postgresql": "psycopg", "mariadb": "pymysql"}


class Backends:
    """The databases of one test session, each made when it is first asked for."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._servers: dict[str, servers.Server] = {}
        self._databases: dict[str, Database] = {}

    def server(self, kind: str) -> servers.Server:
        """Return the session's server of that kind, started if need be.

        Raises:
            servers.Missing: it is not installed.
        """
        if kind not in self._servers:
            self._servers[kind] = self._stack.enter_context(servers.STARTERS[kind]())
        return self._servers[kind]

    def database(self, backend: Backend) -> Database:
        """Return the database of a backend, with tables, and empty."""
        if backend.name not in self._databases:
            made: Database = (
                ServerDatabase(self.server(backend.server), backend)
                if backend.server
                else FileDatabase(backend)
            )
            self._stack.callback(made.close)
            self._databases[backend.name] = made
        database = self._databases[backend.name]
        database.clear()
        return database

    def harness(self, name: str) -> StoreHarness:
        """Return a harness of the backend with that name, for one test."""
        backend = BACKENDS[name]
        if backend.in_memory:
            return MemoryHarness(backend)
        return SQLHarness(backend, self.database(backend).url)

    def close(self) -> None:
        """Stop every server and delete every database."""
        self._stack.close()


class Database:
    """A migrated database that is cleared between tests."""

    url: str

    def clear(self) -> None:
        """Delete every row."""

    def close(self) -> None:
        """Let go of it."""


class ServerDatabase(Database):
    """A database on a server, cleared by DELETE: with a few rows, TRUNCATE is far slower."""

    def __init__(self, server: servers.Server, backend: Backend) -> None:
        name = f"test_{backend.name.replace('-', '_')}"
        driver = BLOCKING_DRIVERS[backend.server or ""]
        admin = sa.create_engine(server.url(driver), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        admin.dispose()
        self.url = server.url(backend.driver, name)
        migrate(server.url(driver, name))
        self._engine = sa.create_engine(server.url(driver, name))
        tables = sa.MetaData()
        tables.reflect(self._engine)
        emptied = "; ".join(
            str(table.delete().compile(self._engine))
            for table in reversed(tables.sorted_tables)
            if not table.name.endswith("alembic_version")
        )
        # One round trip, which each of them takes in a way of its own.
        in_one = {"postgresql": emptied, "mariadb": f"BEGIN NOT ATOMIC {emptied}; END"}
        self._clearing = in_one[backend.server or ""]

    def clear(self) -> None:
        with self._engine.begin() as connection:
            connection.exec_driver_sql(self._clearing)

    def close(self) -> None:
        self._engine.dispose()


class FileDatabase(Database):
    """A SQLite file: each test gets a fresh copy of the migrated one."""

    def __init__(self, backend: Backend) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="oqron-sqlite-", dir=in_ram()))
        self._driver = backend.driver
        self._template = self._folder / "template.db"
        migrate(f"sqlite+pysqlite:///{self._template}")
        self._copies = 0

    def clear(self) -> None:
        self._copies += 1
        path = self._folder / f"{self._copies}.db"
        shutil.copyfile(self._template, path)
        self.url = f"sqlite+{self._driver}:///{path}"

    def close(self) -> None:
        shutil.rmtree(self._folder)


def in_ram() -> str | None:
    """Return a folder that never waits for a disk, or None for the usual one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def migrate(url: str) -> None:
    """Make the tables, as connecting does."""
    store = SQLStore(url)
    store.connect()
    store.disconnect()


class _Harness(StoreHarness):
    """Opens stores that share a clock, under either shell."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.clock = Clock()

    def make(self, metrics: Metrics | None) -> AsyncStore:
        raise NotImplementedError

    async def open(self) -> AsyncStore:
        return await self.keep(self.make(Metrics()))

    async def another(self) -> AsyncStore:
        return await self.keep(self.make(Metrics()))

    async def without_metrics(self) -> AsyncStore:
        return await self.keep(self.make(None))

    async def advance(self, span: timedelta) -> None:
        self.clock.advance(span)


class MemoryHarness(_Harness):
    """The memory store; its instances share their data."""

    missing: ClassVar[Mapping[str, str]] = {
        "server_clock": OWN_CLOCK,
        "closing": "memory is always open",
    }

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._data = MemoryData()

    def make(self, metrics: Metrics | None) -> AsyncStore:
        if self.backend.blocking:
            return awaited(MemoryStore(self._data, clock=self.clock, metrics=metrics))
        return AsyncMemoryStore(self._data, clock=self.clock, metrics=metrics)


class SQLHarness(_Harness):
    """A SQL store on a URL."""

    def __init__(self, backend: Backend, url: str) -> None:
        super().__init__(backend)
        self.url = url
        own_clock = {} if backend.server else {"server_clock": OWN_CLOCK}
        self.missing = {**backend.missing, **own_clock}  # type: ignore[misc]  # of this one alone

    def make(self, metrics: Metrics | None) -> AsyncStore:
        if self.backend.blocking:
            return awaited(SQLStore(self.url, clock=self.clock, metrics=metrics))
        return AsyncSQLStore(self.url, clock=self.clock, metrics=metrics)
