"""How a SQLite file is: who waits for whom, and how much of it is of no use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, func, select

from oqron_sql.dialects.examining import Examination, Finding

SETTINGS = ("journal_mode", "page_size", "page_count", "freelist_count")
LARGE_LOG = MUCH_FREE = 256 * 1024 * 1024


def examine(conn: Connection, path: str, kind: str) -> Examination:
    """Look at the database in the file `path`, which is on a filesystem of that kind."""
    version = conn.scalar(select(func.sqlite_version()))
    settings = {name: str(conn.exec_driver_sql(f"PRAGMA {name}").scalar()) for name in SETTINGS}
    findings = list(_findings(settings, path))
    return Examination(f"SQLite {version}", {**settings, "filesystem": kind}, findings)


def _findings(settings: Mapping[str, str], path: str) -> Iterator[Finding]:
    if settings["journal_mode"].lower() != "wal":
        yield Finding(
            "database",
            f"journal_mode is {settings['journal_mode']}: readers and writers wait for each other",
            "Set it to WAL, if the file is on a local disk.",
            serious=False,
        )
    log = os.path.getsize(f"{path}-wal") if os.path.exists(f"{path}-wal") else 0
    if log >= LARGE_LOG:
        yield Finding(
            "database",
            f"the write-ahead log is {log:,} bytes long: somebody reads without ever ending",
            "End the program that holds a transaction open.",
        )
    free = int(settings["freelist_count"]) * int(settings["page_size"])
    if free >= MUCH_FREE and 2 * int(settings["freelist_count"]) >= int(settings["page_count"]):
        yield Finding(
            "database",
            f"{free:,} bytes of the file are free",
            "They are used again; run VACUUM at a quiet hour to give them back to the disk.",
            serious=False,
        )
