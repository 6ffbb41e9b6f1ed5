"""The portable defaults on every database: `pytest -p tests.dialects.portable tests/contract`.

A plugin rather than a fixture: tables and compiled statements are made of what the registry
answers first, so that one process has either the dialects or the defaults.
"""

from __future__ import annotations

import functools

from oqron_sql import dialects
from tests import servers
from tests.backends import BACKENDS, Backend

SHORT_TEXT = {"large_text": "TEXT holds 64 KiB there, and no longer type is portable"}
# String(255) compares as the database does, so it has to be one that compares bytes.
BYTES = {"character-set-server": "utf8mb4", "collation-server": "utf8mb4_nopad_bin"}

for _name in ("postgresql", "mysql", "mariadb", "sqlite"):
    dialects.register(_name, None)

servers.STARTERS["mariadb"] = functools.partial(servers.mariadb, BYTES)

BACKENDS.clear()
BACKENDS |= {
    backend.name: backend
    for backend in (
        Backend("portable-sqlite", driver="pysqlite", blocking=True),
        Backend("portable-pg", "postgresql", "asyncpg"),
        Backend("portable-maria", "mariadb", "pymysql", blocking=True, missing=SHORT_TEXT),
    )
}
