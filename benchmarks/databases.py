"""The servers, private and durable, and a fresh database for every run."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

from benchmarks.plan import Family
from tests import servers

# What the servers do by default; the tests turn some of it off.
DURABLE_POSTGRESQL = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
DURABLE_REDIS = {"appendonly": "yes", "appendfsync": "everysec"}
DURABLE_MARIADB = {"innodb-flush-log-at-trx-commit": "1", "skip-log-bin": "1"}


class Databases:
    """Hands out fresh databases of one family."""

    def __init__(self, server: servers.Server | None) -> None:
        self._server = server
        self._count = 0

    @property
    def pid(self) -> int | None:
        """The process whose children's time is the server's."""
        if self._server is None:
            return None
        if isinstance(self._server, servers.Redis):
            return int(self._asked("process_id"))
        folder = self._server.folder
        path = folder / "data" / "postmaster.pid"
        return int((path if path.exists() else folder / "pid").read_text().split()[0])

    @contextlib.contextmanager
    def fresh(self, driver: str) -> Iterator[str]:
        """Create a database, give its URL for `driver`, and drop it afterwards."""
        self._count += 1
        name = f"run{self._count}"
        if self._server is None:
            folder = Path(tempfile.mkdtemp(prefix="oqron-benchmark-"))
            try:
                yield f"{driver}:///{folder / name}.db"
            finally:
                shutil.rmtree(folder)
            return
        if isinstance(self._server, servers.Redis):
            with redis.Redis(port=self._server.port) as client:
                client.flushall()
            yield self._server.url("redis")
            return
        plain = "psycopg" if isinstance(self._server, servers.PostgreSQL) else "pymysql"
        admin = sa.create_engine(self._server.url(plain), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
            try:
                yield self._server.url(driver, name)
            finally:
                connection.exec_driver_sql(f"DROP DATABASE {name}")
        admin.dispose()

    def version(self) -> str:
        """Return the server's own words for its version."""
        if isinstance(self._server, servers.Redis):
            return self._asked("redis_version")
        with self.fresh(self._plain()) as url:
            engine = sa.create_engine(url)
            function = "sqlite_version()" if self._server is None else "version()"
            with engine.connect() as connection:
                version = connection.execute(sa.text(f"SELECT {function}")).scalar_one()
            engine.dispose()
        return str(version)

    def _asked(self, fact: str) -> str:
        assert self._server is not None
        with redis.Redis(port=self._server.port) as client:
            told: Any = client.info()
        return str(told[fact])

    def _plain(self) -> str:
        if self._server is None:
            return "sqlite"
        return "psycopg" if isinstance(self._server, servers.PostgreSQL) else "pymysql"


@contextlib.contextmanager
def databases(family: Family) -> Iterator[Databases]:
    """Start what the family needs; it is gone afterwards."""
    starters: dict[Family, Callable[[], contextlib.AbstractContextManager[servers.Server]]] = {
        "postgresql": lambda: servers.postgresql(DURABLE_POSTGRESQL),
        "redis": lambda: servers.redis(DURABLE_REDIS),
        "mariadb": lambda: servers.mariadb(DURABLE_MARIADB),
    }
    if family == "sqlite":
        yield Databases(None)
        return
    with starters[family]() as server:
        yield Databases(server)
