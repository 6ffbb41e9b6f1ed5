"""Private database servers, started from whatever is installed; usable without pytest.

    with servers.postgresql() as server:
        engine = create_engine(server.url("psycopg"))

A server belongs to the process that started it: a watchdog kills it and deletes its data as soon
as that process is gone, however it went.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from tests.servers.kinds import MariaDB, PgBouncer, PostgreSQL, Redis, Valkey
from tests.servers.programs import Missing, find
from tests.servers.server import PASSWORD, START_TIMEOUT, Server, free_port, running

__all__ = [
    "PASSWORD",
    "STARTERS",
    "START_TIMEOUT",
    "MariaDB",
    "Missing",
    "PostgreSQL",
    "Redis",
    "Server",
    "free_port",
    "mariadb",
    "pgbouncer",
    "postgresql",
    "redis",
    "running",
    "valkey",
]


def postgresql(
    settings: Mapping[str, str] | None = None,
) -> contextlib.AbstractContextManager[Server]:
    """Return a context with a PostgreSQL; `settings` are added to its command line.

    Raises:
        Missing: it is not installed.
    """
    find("postgres", "initdb", "pg_isready")
    return running(PostgreSQL, settings)


def mariadb(settings: Mapping[str, str] | None = None) -> contextlib.AbstractContextManager[Server]:
    """Return a context with a MariaDB; `settings` are added to its command line.

    Raises:
        Missing: it is not installed.
    """
    find("mariadbd", "mariadb-install-db")
    return running(MariaDB, settings)


def redis(settings: Mapping[str, str] | None = None) -> contextlib.AbstractContextManager[Server]:
    """Return a context with a Redis; `settings` are added to its command line.

    Raises:
        Missing: it is not installed.
    """
    find(Redis.program)
    return running(Redis, settings)


def valkey(settings: Mapping[str, str] | None = None) -> contextlib.AbstractContextManager[Server]:
    """Return a context with a Valkey; `settings` are added to its command line.

    Raises:
        Missing: it is not installed.
    """
    find(Valkey.program)
    return running(Valkey, settings)


def pgbouncer(server: Server, mode: str) -> contextlib.AbstractContextManager[Server]:
    """Return a context with a pooler of `mode` in front of a PostgreSQL.

    Raises:
        Missing: it is not installed.
    """
    find("pgbouncer")
    return running(PgBouncer, {"upstream": str(server.port), "pool_mode": mode})


STARTERS: dict[str, Callable[[], contextlib.AbstractContextManager[Server]]] = {
    "postgresql": postgresql,
    "mariadb": mariadb,
    "redis": redis,
    "valkey": valkey,
}
