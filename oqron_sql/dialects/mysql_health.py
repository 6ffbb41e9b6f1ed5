"""How a MySQL or MariaDB is: what it would lose in a crash, and what keeps purge from its work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from oqron_sql.dialects.examining import Examination, Finding

OLD_TRANSACTION = timedelta(minutes=10)
CROWDED = 0.9
FORBIDDEN = 1227

_SETTINGS = text(
    "SELECT @@innodb_flush_log_at_trx_commit AS innodb_flush_log_at_trx_commit,"
    " @@sync_binlog AS sync_binlog, @@max_connections AS max_connections,"
    " @@wait_timeout AS wait_timeout, @@innodb_buffer_pool_size AS innodb_buffer_pool_size"
)
_SESSIONS = text("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
_TRANSACTION = text(
    "SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, NOW())"
    " FROM information_schema.innodb_trx WHERE trx_mysql_thread_id <> CONNECTION_ID()"
    " ORDER BY trx_started LIMIT 1"
)


def examine(conn: Connection) -> Examination:
    """Ask the server."""
    name = "MariaDB" if getattr(conn.dialect, "is_mariadb", False) else "MySQL"
    found = conn.execute(_SETTINGS).one()
    settings = {key: str(value) for key, value in found._mapping.items()}
    findings = [*_crowd(conn, settings), *_oldest(conn, settings)]
    if settings["innodb_flush_log_at_trx_commit"] != "1":
        findings.append(
            Finding(
                "server",
                "innodb_flush_log_at_trx_commit is "
                f"{settings['innodb_flush_log_at_trx_commit']}: a power cut loses the jobs of the "
                "last moment",
                "Set it to 1, unless that is meant.",
                serious=False,
            )
        )
    return Examination(f"{name} {conn.scalar(text('SELECT VERSION()'))}", settings, findings)


def _crowd(conn: Connection, settings: Mapping[str, str]) -> Iterator[Finding]:
    sessions = int(conn.execute(_SESSIONS).one()[1])
    if sessions >= CROWDED * int(settings["max_connections"]):
        yield Finding(
            "server",
            f"{sessions} of {settings['max_connections']} connections are in use",
            "Let fewer processes connect, put a pooler between, or raise max_connections.",
        )


def _oldest(conn: Connection, settings: dict[str, str]) -> Iterator[Finding]:
    try:
        oldest = conn.execute(_TRANSACTION).first()
    except DBAPIError as error:
        if getattr(error.orig, "args", ())[:1] != (FORBIDDEN,):
            raise
        settings["oldest transaction"] = "not told without the right PROCESS"
        return
    settings["oldest transaction"] = f"{oldest[1]} s" if oldest else "none"
    if oldest is not None and timedelta(seconds=oldest[1]) >= OLD_TRANSACTION:
        yield Finding(
            "server",
            f"session {oldest[0]} has had its transaction open for {oldest[1]} s, and old rows are "
            "kept for it",
            f"Let it commit, or end it with KILL {oldest[0]}.",
        )
