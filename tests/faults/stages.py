"""Where runs take place: a database that answers like one in production, and a way to it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

from oqron_sql.schema.tables import DEFAULT_PREFIX
from tests import servers
from tests.backends import BACKENDS, BLOCKING_DRIVERS, Backend
from tests.faults import clocked, replicas
from tests.faults.cluster import galera

Starter = Callable[[Mapping[str, str]], contextlib.AbstractContextManager[servers.Server]]
GALERA = "galera"
KNOWN = {
    **BACKENDS,
    "redis": Backend("redis", "redis", "redis"),
    GALERA: Backend(GALERA, "mariadb", "mariadb+asyncmy"),
}
STAGES = ("sqlite-thread", "pg-asyncpg", "maria-asyncmy", "redis")
"""One driver of each database; any other backend can be asked for."""
DURABLE: Mapping[str, Mapping[str, str]] = {
    "postgresql": {"fsync": "on", "full_page_writes": "on", "log_min_messages": "fatal"},
    "mariadb": {"innodb-flush-log-at-trx-commit": "1", "max-connections": "300"},
    "redis": {"appendonly": "yes", "appendfsync": "always"},
}
"""Settings with which what was acknowledged survives a crash of the machine."""
ALONE, REPLICATED, CLOCKED = "alone", "replicated", "clocked"
STARTERS: Mapping[tuple[str, str], Starter] = {
    ("postgresql", ALONE): servers.postgresql,
    ("mariadb", ALONE): servers.mariadb,
    ("redis", ALONE): servers.redis,
    (GALERA, ALONE): galera,
    ("postgresql", REPLICATED): replicas.postgresql,
    ("mariadb", REPLICATED): replicas.mariadb,
    ("postgresql", CLOCKED): clocked.postgresql,
    ("mariadb", CLOCKED): clocked.mariadb,
}
"""By its kind, and by what a run needs of it."""
PREFIX = DEFAULT_PREFIX
_numbers = itertools.count()


@dataclasses.dataclass
class Stage:
    """One backend, its server if it has one, and fresh databases on it."""

    backend: Backend
    server: servers.Server | None
    folder: Path

    @property
    def name(self) -> str:
        return self.backend.name

    def fresh(self) -> str:
        """Make an empty database, and return its name."""
        if self.backend.server == "redis":
            with self.client() as client:
                client.flushall()
            return "0"
        name = f"run_{next(_numbers)}"
        if self.server is not None:
            with self.admin() as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
                if self.backend.server == "mariadb":  # whoever may do all may write to a replica
                    connection.exec_driver_sql("CREATE USER IF NOT EXISTS app@127.0.0.1")
                    connection.exec_driver_sql(f"GRANT ALL ON {name}.* TO app@127.0.0.1")
        return name

    def url(self, database: str, port: int | None = None) -> str:
        """Return the URL of a database, by way of another port if one is given."""
        if self.server is None:
            return f"sqlite+{self.backend.driver}:///{self.folder / database}.db"
        theirs = f"//root:{servers.PASSWORD}@"
        url = self.server.url(self.backend.driver, database).replace(theirs, "//app@")
        return url if port is None else re.sub(r"(?<=@127\.0\.0\.1):\d+", f":{port}", url)

    def client(self) -> redis.Redis:
        """Return a client of one's own."""
        assert self.server is not None
        return redis.Redis(port=self.server.port)

    def engine(self, database: str | None = None, **options: Any) -> sa.Engine:
        """Return an engine of one's own, with all rights, on a driver that blocks."""
        assert self.server is not None
        driver = BLOCKING_DRIVERS[self.backend.server or ""]
        return sa.create_engine(self.server.url(driver, database), **options)

    @contextlib.contextmanager
    def admin(self) -> Iterator[sa.Connection]:
        """Open a connection that commits by itself, to no run's database."""
        engine = self.engine(isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            yield connection


class Stages:
    """The stages of a session, each set up when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()
        self._servers: dict[tuple[str, str], servers.Server] = {}

    def stage(self, name: str, server: str = ALONE) -> Stage:
        """Return the stage of one backend, on such a server.

        Raises:
            servers.Missing: it is not installed.
        """
        backend = KNOWN[name]
        if backend.server is None:
            return Stage(backend, None, self.folder)
        kind = (name if name == GALERA else backend.server), server
        if kind not in self._servers:
            starting = STARTERS[kind](DURABLE[backend.server])
            self._servers[kind] = self._stack.enter_context(starting)
        return Stage(backend, self._servers[kind], self.folder)

    def close(self) -> None:
        self._stack.close()
