"""The engines that hosts have, and what a guest might have changed about one."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.hosts.hosts import BEGINNING, Host, settled

ONE = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 5}


@dataclasses.dataclass(frozen=True)
class Decimal:
    """What a host's own JSON makes of a number."""

    text: str


def dump(value: Any) -> str:
    return json.dumps({"theirs": value}, allow_nan=True)


def load(text: str) -> Any:
    return json.loads(text, parse_int=Decimal)


COMMON: dict[str, dict[str, Any]] = {
    "plain": {},
    "a pool of one": ONE,
    "no pool": {"poolclass": sa.NullPool},
    "one connection": {"poolclass": sa.StaticPool},
    "nothing is reset": {**ONE, "pool_reset_on_return": None},
    "AUTOCOMMIT": {**ONE, "isolation_level": "AUTOCOMMIT"},
    "AUTOCOMMIT without rollback": {
        **ONE, "isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True,
    },
    "SERIALIZABLE": {**ONE, "isolation_level": "SERIALIZABLE"},
    "own JSON": {**ONE, "json_serializer": dump, "json_deserializer": load},
    "translated": {**ONE, "execution_options": {"schema_translate_map": {None: "elsewhere"}}},
    "streaming": {**ONE, "execution_options": {"stream_results": True, "yield_per": 1}},
    "echo": {**ONE, "echo": True},
    "no cache": {**ONE, "query_cache_size": 0, "use_insertmanyvalues": False},
}  # fmt: skip
BEGUN = {**ONE, "isolation_level": "AUTOCOMMIT", "begin": "BEGIN"}
ENGINES: dict[str, dict[str, dict[str, Any]]] = {
    "sqlite": {
        **COMMON,
        "begin hook": {**ONE, **BEGINNING},
        "immediate": {**ONE, "connect_args": {"isolation_level": "IMMEDIATE"}},
        "connect hook": {**ONE, "connect": "PRAGMA foreign_keys = ON"},
    },
    "postgresql": {
        **COMMON,
        "begin hook": BEGUN,
        "serializable begin hook": {**BEGUN, "begin": "BEGIN ISOLATION LEVEL SERIALIZABLE"},
        "REPEATABLE READ": {**ONE, "isolation_level": "REPEATABLE READ"},
        "connect hook": {**ONE, "connect": "SET default_transaction_isolation = 'serializable'"},
        "time zone": {**ONE, "connect": "SET TIME ZONE 'Asia/Kathmandu'"},
    },
    "mariadb": {
        **COMMON,
        "begin hook": BEGUN,
        "READ UNCOMMITTED": {**ONE, "isolation_level": "READ UNCOMMITTED"},
        "connect hook": {**ONE, "connect": "SET sql_mode = 'ANSI,TRADITIONAL'"},
        "time zone": {**ONE, "connect": "SET time_zone = '+05:45'"},
    },
}
SETTINGS = {
    "sqlite": (
        "PRAGMA busy_timeout", "PRAGMA foreign_keys", "PRAGMA synchronous", "PRAGMA journal_mode",
    ),
    "postgresql": tuple(
        f"SELECT current_setting('{name}')"
        for name in (
            "transaction_isolation", "default_transaction_isolation", "search_path", "timezone",
            "lock_timeout", "statement_timeout", "application_name", "client_encoding",
        )
    ),
    "mariadb": tuple(
        f"SELECT @@{name}"
        for name in (
            "autocommit", "tx_isolation", "sql_mode", "time_zone", "lock_wait_timeout",
            "character_set_client",
        )
    ),
}  # fmt: skip


async def fingerprint(host: Host) -> list[Any]:
    """Return what a connection of the host's is like."""
    conn: Any = await settled(host.engine.connect())
    try:
        core = conn.sync_connection if isinstance(host.engine, AsyncEngine) else conn
        driver = core.connection.dbapi_connection
        seen = [
            (await settled(conn.exec_driver_sql(asked))).scalar()
            for asked in SETTINGS[host.backend.server or "sqlite"]
        ]
        return [
            *seen,
            await settled(conn.get_isolation_level()),
            core.dialect.detect_autocommit_setting(driver),
            getattr(driver, "isolation_level", None),
            dict(core.get_execution_options()),
            dict(core.engine.get_execution_options()),
            core.engine.echo,
            sorted(core.info),
        ]
    finally:
        await settled(conn.close())
