"""PostgreSQL behind a pooler that gives every transaction another connection to the server."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, func, select

from oqron_sql.errors import UnsupportedDatabase

# A statement that was prepared stays behind, on a connection that is somebody else's by then.
_DRIVERS: dict[str, dict[str, Any]] = {
    "psycopg": {"prepare_threshold": None},
    "asyncpg": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": str,  # "": not named, and prepared again at once
    },
}


def options(url: URL) -> dict[str, Any]:
    """Return keywords for the driver of `url` that let it prepare nothing."""
    return _DRIVERS.get(url.get_driver_name(), {})


def check(conn: Connection, pooler: str | None) -> None:
    """Refuse a pooler of which nothing was said, and a driver that prepares in spite of it.

    Raises:
        UnsupportedDatabase: that is so.
    """
    driver: Any = conn.connection.driver_connection
    greeted, served = _greeted_by(driver), conn.scalar(select(func.pg_backend_pid()))
    if pooler is None and greeted not in (None, served):
        raise UnsupportedDatabase(
            "PostgreSQL",
            "there is a pooler in between, for another process answers than the one that greeted",
            'Say what it lends connections for: pooler="transaction" or pooler="session".',
        )
    if pooler == "transaction" and _prepares(driver):
        given = _DRIVERS.get(conn.dialect.driver, {})
        shown = ", ".join(
            f"{name!r}: {getattr(value, '__name__', value)}" for name, value in given.items()
        )
        raise UnsupportedDatabase(
            "PostgreSQL",
            "this engine prepares statements, which are lost behind the pooler",
            f"Create it with connect_args={{{shown}}}.",
        )


def _greeted_by(driver: Any) -> int | None:
    """Return the number of the process that the connection began with; None if unknown."""
    if hasattr(driver, "get_server_pid"):  # asyncpg
        return int(driver.get_server_pid())
    info = getattr(driver, "info", None)  # psycopg
    return None if info is None else int(info.backend_pid)


def _prepares(driver: Any) -> bool:
    if hasattr(driver, "prepare_threshold"):  # psycopg
        return driver.prepare_threshold is not None
    config = getattr(driver, "_config", None)  # asyncpg
    return bool(getattr(config, "statement_cache_size", 0))
