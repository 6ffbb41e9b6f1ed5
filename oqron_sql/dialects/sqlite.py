"""SQLite: one writer at a time, so one UPDATE is already a claim."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, cast

from sqlalchemy import (
    URL,
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    FromClause,
    Insert,
    Integer,
    Row,
    String,
    Table,
    TypeDecorator,
    bindparam,
    event,
    func,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeEngine

from oqron_sql.dialects import sqlite_health
from oqron_sql.dialects.examining import Examination
from oqron_sql.dialects.upserting import Upserting
from oqron_sql.dialects.work import Claim, Values, Work, primary_key, row_key
from oqron_sql.dialects.written import IsoTimestamp
from oqron_sql.errors import UnsupportedDatabase

logger = logging.getLogger("oqron_sql")

BUSY_TIMEOUT_MS = 10_000
COMPANIONS = ("", "-wal", "-shm", "-journal")
"""What the names of the files of one database end in."""
MOUNTS = "/proc/self/mountinfo"
_PATIENCE = "oqron_busy_timeout"
_OURS = "oqron_ours"
# Shared memory and POSIX locks do not work across these; a WAL on them loses data.
NETWORK_FILESYSTEMS = ("nfs", "cifs", "smb", "9p", "virtiofs", "fuse", "afs", "ceph", "gluster")


class Modifier(TypeDecorator[timedelta]):
    """A span of time as `strftime` takes it."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Any) -> str | None:
        return None if value is None else f"{value.total_seconds():+.3f} seconds"


class SQLite(Upserting):
    """SQLite 3.35 and later (RETURNING), through pysqlite or aiosqlite."""

    names: ClassVar = ("sqlite",)
    excluding: ClassVar = True
    partial_indexes: ClassVar = True
    exclusive: ClassVar = True
    extra: ClassVar = "sqlite"
    blocking_driver: ClassVar = "pysqlite"
    # A rowid that was deleted must not come back: the order of insertion is read from it.
    table_options: ClassVar[Mapping[str, Any]] = {"sqlite_autoincrement": True}

    def serial_type(self) -> TypeEngine[Any]:
        return Integer()  # AUTOINCREMENT demands this very word; it holds 64 bits

    def engine_options(self, url: URL) -> dict[str, Any]:
        options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}
        if self.in_memory(url):
            options |= {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        return options

    def in_memory(self, url: URL) -> bool:
        name = url.database or ":memory:"
        return ":memory:" in name or url.query.get("mode") == "memory"

    def prepare(self, engine: Engine) -> None:
        @event.listens_for(engine, "connect")
        def configure(dbapi_connection: Any, record: Any) -> None:
            record.info[_OURS] = True
            cursor = dbapi_connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS:d}")
            # FULL: what was acknowledged survives a power cut; NORMAL would lose the last commits.
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.close()

    def begin(self, conn: Connection) -> None:
        if self.in_transaction(conn):
            # The host's begin hook was first: this takes the write lock now, while waiting for it
            # is still allowed, and needs no table. It reclaims one page, if even that.
            conn.exec_driver_sql("PRAGMA incremental_vacuum(1)").close()
        else:
            conn.exec_driver_sql("BEGIN IMMEDIATE")

    # What the driver would do of a commit or rollback depends on settings that a host may have.

    def commit(self, conn: Connection) -> None:
        if self.in_transaction(conn):
            conn.exec_driver_sql("COMMIT")

    def rollback(self, conn: Connection) -> None:
        if self.in_transaction(conn):
            conn.exec_driver_sql("ROLLBACK")

    def enter(self, conn: Connection) -> None:
        # By default the driver begins with the first INSERT, UPDATE or DELETE: too late for what
        # was read before, and not at all for a savepoint, which would then be committed.
        if not self.in_transaction(conn):
            conn.exec_driver_sql("BEGIN IMMEDIATE")

    def in_transaction(self, conn: Connection) -> bool:
        driver = conn.connection.driver_connection
        return bool(driver is not None and driver.in_transaction)

    def check_server(self, conn: Connection) -> None:
        version = conn.scalar(select(func.sqlite_version())) or "0"
        if tuple(int(part) for part in version.split(".")) < (3, 35):
            raise UnsupportedDatabase(
                "SQLite", f"version {version} is too old", "Version 3.35 or later is needed."
            )
        path = _path(conn)
        if not path:
            return
        kind = filesystem(path)
        mode = str(conn.exec_driver_sql("PRAGMA journal_mode").scalar()).lower()
        network = any(kind.startswith(name) for name in NETWORK_FILESYSTEMS)
        if network and mode == "wal":
            raise UnsupportedDatabase(
                "SQLite",
                f"{path} is in WAL mode on a {kind} filesystem, where that loses data",
                "Move the file to a local disk.",
            )
        if network:
            logger.warning("SQLite on a %s filesystem: one host only, expect slow locks", kind)
        elif mode != "wal" and conn.info.get(_OURS) and not self.in_transaction(conn):
            self._enter_wal(conn)

    def _enter_wal(self, conn: Connection) -> None:
        try:
            mode = conn.exec_driver_sql("PRAGMA journal_mode = WAL").scalar()
        except DBAPIError as error:
            # It does not wait for others: one of them enters it, or the next connection does.
            if not self.is_transient(error):
                raise
        else:
            if str(mode).lower() != "wal":
                logger.warning("SQLite would not enter WAL mode: readers and writers will wait")

    def examine(self, conn: Connection, tables: Sequence[Table]) -> Examination:
        path = _path(conn)
        return sqlite_health.examine(conn, path, filesystem(path) if path else "")

    def is_transient(self, error: DBAPIError) -> bool:
        return getattr(error.orig, "sqlite_errorname", "").startswith(
            ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL")
        )

    def is_refusal(self, error: DBAPIError) -> bool:
        return getattr(error.orig, "sqlite_errorname", "") == "SQLITE_CANTOPEN"

    def lock_migration(
        self, conn: Connection, name: str, timeout: timedelta, *, begin: bool
    ) -> bool:
        conn.info[_PATIENCE] = conn.exec_driver_sql("PRAGMA busy_timeout").scalar()
        conn.exec_driver_sql(f"PRAGMA busy_timeout = {timeout // timedelta(milliseconds=1):d}")
        try:
            self.begin(conn)
        except DBAPIError as error:
            if self.is_transient(error):
                return False
            raise
        return True

    def unlock_migration(self, conn: Connection, name: str) -> None:
        # The connection may be a host's.
        patience = conn.info.pop(_PATIENCE, None)
        if patience is not None:
            conn.exec_driver_sql(f"PRAGMA busy_timeout = {patience:d}")

    def files(self, url: URL) -> Sequence[str]:
        if self.in_memory(url) or not url.database:
            return ()
        # "file:" begins a URI, in which a question mark ends the name.
        name = url.database.removeprefix("file:").partition("?")[0]
        return name, f"{name}-wal"

    span_type = Modifier()

    def later(self, span: BindParameter[Any]) -> ColumnElement[Any]:
        # strftime knows milliseconds; three zeros make them as wide as what Python writes.
        clock = func.strftime("%Y-%m-%d %H:%M:%f", "now", span, type_=String())
        return type_coerce(clock.concat("000"), IsoTimestamp())

    def claim(self, work: Work, claim: Claim, params: Values) -> Sequence[Row[Any]]:
        return work.conn.execute(claim.once(_claiming), params).all()

    def insert(self, table: Table) -> Insert:
        return insert(table)

    def or_nothing(self, statement: Any, table: Table) -> Executable:
        return cast("Executable", statement.on_conflict_do_nothing())

    def or_change(self, statement: Any, table: Table, changes: dict[str, Any]) -> Executable:
        keys = row_key(table)
        return cast(
            "Executable", statement.on_conflict_do_update(index_elements=keys, set_=changes)
        )

    def batch(self, columns: Mapping[str, TypeEngine[Any]], size: int) -> FromClause:
        each = func.json_each(bindparam("batch", type_=String())).table_valued(
            "key", "value", name="each"
        )
        picked = [
            type_coerce(func.json_extract(each.c.value, f"$[{i}]"), kind).label(name)
            for i, (name, kind) in enumerate(columns.items())
        ]
        return select(each.c.key.label("n"), *picked).subquery("batch")


def _claiming(claim: Claim) -> Executable:
    return (
        update(claim.table)
        .where(primary_key(claim.table).in_(claim.candidates))
        .values({**claim.values, claim.bump.name: claim.bump + 1})
        .returning(*claim.returning)
    )


def _path(conn: Connection) -> str:
    """Return the file of the database, "" without one."""
    found = conn.exec_driver_sql("PRAGMA database_list").first()
    return str(found[2] or "") if found else ""


def filesystem(path: str) -> str:
    """Return the type of the filesystem that holds `path`, or "" where that cannot be told."""
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
            lines = [line.split() for line in mounts]
    except OSError:
        return ""
    real = os.path.realpath(path)
    best, kind = "", ""
    for fields in lines:
        mount = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = real == mount or real.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, fields[fields.index("-") + 1]
    return kind


dialect = SQLite()
