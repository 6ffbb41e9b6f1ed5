"""Ending the session that a store, or an adapter, keeps in its pool."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import sqlalchemy as sa

from oqron_sql.queries.tx import Tx
from tests.model.twins import finished

BLOCKING = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql", "sqlite": "pysqlite"}
OF_MARIADB = (
    sa.text("SELECT connection_id()"),
    sa.text("KILL :session"),
    sa.text("SELECT count(*) FROM information_schema.processlist WHERE id = :session"),
)
# Which session one is, how it is ended, and whether it is there.
SESSIONS = {
    "postgresql": (
        sa.text("SELECT pg_backend_pid()"),
        sa.text("SELECT pg_terminate_backend(:session)"),
        sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :session"),
    ),
    "mysql": OF_MARIADB,
    "mariadb": OF_MARIADB,
}


def drop(opened: Any, url: str, loop: asyncio.Runner) -> None:
    """End the session of what is opened, and wait until it is gone; on SQLite there is none."""
    engine = administrator(url)
    if engine.dialect.name not in SESSIONS:
        return
    which, end, is_there = SESSIONS[engine.dialect.name]

    def ask(tx: Tx) -> Any:
        return tx.conn.scalar(which)

    told = {"session": finished(opened.run(ask), loop)}
    with engine.connect() as administering:
        administering.execution_options(isolation_level="AUTOCOMMIT")
        administering.execute(end, told)
        while administering.scalar(is_there, told):
            time.sleep(0.001)


def administrator(url: str) -> sa.Engine:
    """Return an engine for whoever looks after a database; it keeps no connection."""
    made = sa.make_url(url)
    dialect = made.get_backend_name()
    made = made.set(drivername=f"{dialect}+{BLOCKING[dialect]}")
    return sa.create_engine(made, poolclass=sa.NullPool)
