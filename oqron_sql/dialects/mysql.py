"""MySQL 8 and MariaDB 10.6: SKIP LOCKED but no UPDATE ... RETURNING; READ COMMITTED throughout."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast

from sqlalchemy import (
    URL,
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    FromClause,
    Insert,
    Row,
    Select,
    String,
    Table,
    TypeDecorator,
    bindparam,
    event,
    func,
    literal_column,
    text,
    type_coerce,
    update,
)
from sqlalchemy.dialects.mysql import DATETIME, LONGTEXT, VARCHAR, insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.types import TypeEngine

from oqron_sql.dialects import mysql_health
from oqron_sql.dialects.connecting import POOL_SIZE, switched
from oqron_sql.dialects.examining import Examination
from oqron_sql.dialects.jsontable import json_table
from oqron_sql.dialects.upserting import Upserting, plain_insert
from oqron_sql.dialects.work import (
    NOTHING,
    Changes,
    Claim,
    Rows,
    Values,
    Work,
    primary_key,
    seeing,
    shape,
)
from oqron_sql.errors import UnsupportedDatabase

# lock wait timeout, deadlock (Galera's certification failure too), record changed since last read;
# disk full, table full
TRANSIENT = {1205, 1213, 1020, 1021, 1114}
# read-only server, transaction, mode; then: server gone or lost, shutting down, killed, and a node
# of Galera that has not joined the others, or has lost them
READ_ONLY = {1290, 1792, 1836}
GONE = READ_ONLY | {2006, 2013, 1053, 1927, 1047}
# no right to a database, a table, a command
FORBIDDEN = {1044, 1142, 1227}
# no right to a database, a password that is wrong, no such database
REFUSED = {1044, 1045, 1049}
DUPLICATE = 1062
IN_TRANSACTION = 1  # in the status that comes with every reply
_READ_COMMITTED = "oqron_read_committed"


class UTCDateTime(TypeDecorator[datetime]):
    """An instant as DATETIME(6) in UTC: TIMESTAMP ends in 2038 and follows the session's zone."""

    impl = DATETIME(fsp=6)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Microseconds(TypeDecorator[timedelta]):
    """A span of time as TIMESTAMPADD takes it."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Any) -> int | None:
        return None if value is None else value // timedelta(microseconds=1)


class MySQL(Upserting):
    """Both families; where they differ, the server is asked which it is."""

    names: ClassVar = ("mysql", "mariadb")
    excluding: ClassVar = True
    autocommit: ClassVar = True
    extra: ClassVar = "mysql"
    blocking_driver: ClassVar = "pymysql"
    table_options: ClassVar[Mapping[str, Any]] = {
        f"{name}_{key}": value
        for name in ("mysql", "mariadb")
        for key, value in {
            "engine": "InnoDB",
            "charset": "utf8mb4",
            "row_format": "DYNAMIC",
        }.items()
    }

    def key_type(self, dialect: Any) -> TypeEngine[Any]:
        # Only these tell 'a' from 'A', 'a ' and one emoji from another.
        maria = getattr(dialect, "is_mariadb", False)
        return VARCHAR(
            255, charset="utf8mb4", collation="utf8mb4_nopad_bin" if maria else "utf8mb4_0900_bin"
        )

    def text_type(self) -> TypeEngine[Any]:
        return LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin")

    def timestamp_type(self) -> TypeEngine[Any]:
        return UTCDateTime()

    def engine_options(self, url: URL) -> dict[str, Any]:
        # Servers close idle connections; a dead one must not cost a job an attempt.
        # Nor is it rolled back when it is given back: nothing is open then, and it is a round trip.
        return {
            "isolation_level": "AUTOCOMMIT",
            "pool_size": POOL_SIZE,
            "pool_recycle": 3600,
            "skip_autocommit_rollback": True,
        }

    def prepare(self, engine: Engine) -> None:
        @event.listens_for(engine, "connect")
        def configure(dbapi_connection: Any, record: Any) -> None:
            cursor = dbapi_connection.cursor()
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.close()
            record.info[_READ_COMMITTED] = True

    @contextlib.contextmanager
    def autocommitting(self, conn: Connection) -> Iterator[None]:
        with switched(conn, _set_autocommit):
            yield

    def begin(self, conn: Connection) -> None:
        if self.in_transaction(conn):  # a host's "begin" hook was first
            conn.exec_driver_sql("COMMIT")
        # Under REPEATABLE READ the gap locks of eight workers deadlock hundreds of times.
        if not conn.info.get(_READ_COMMITTED):
            conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        conn.exec_driver_sql("START TRANSACTION")

    def commit(self, conn: Connection) -> None:
        conn.exec_driver_sql("COMMIT")

    def rollback(self, conn: Connection) -> None:
        conn.exec_driver_sql("ROLLBACK")

    def in_transaction(self, conn: Connection) -> bool:
        driver: Any = conn.connection.driver_connection
        if hasattr(driver, "get_transaction_status"):  # asyncmy
            return bool(driver.get_transaction_status())
        return bool((getattr(driver, "server_status", None) or 0) & IN_TRANSACTION)  # pymysql

    def check_server(self, conn: Connection) -> None:
        maria = bool(getattr(conn.dialect, "is_mariadb", False))
        name, least = ("MariaDB", (10, 6)) if maria else ("MySQL", (8, 0, 17))
        version = conn.dialect.server_version_info or (0,)
        if tuple(v for v in version if isinstance(v, int)) < least:
            shown, needed = ".".join(map(str, version)), ".".join(map(str, least))
            raise UnsupportedDatabase(
                name, f"version {shown} has no SKIP LOCKED", f"Version {needed} or later is needed."
            )
        asked = text("SELECT @@log_bin, @@binlog_format, @@character_set_client")
        log, form, charset = conn.execute(asked).one()
        if log and str(form).upper() == "STATEMENT":
            raise UnsupportedDatabase(
                name,
                "binlog_format is STATEMENT, which refuses READ COMMITTED",
                "Set binlog_format to ROW or MIXED.",
            )
        if charset != "utf8mb4":
            raise UnsupportedDatabase(
                name,
                f"the connection's character set is {charset}, which not every payload fits in",
                "Connect with charset=utf8mb4.",
            )
        self.check_writable(conn)
        if _matched(conn) == 0:
            raise UnsupportedDatabase(
                name,
                "the driver reports changed instead of matched rows",
                "Connect with the client flag FOUND_ROWS.",
            )

    def check_writable(self, conn: Connection) -> None:
        # Who may write to a read-only server depends on its make and version: it knows.
        try:
            conn.exec_driver_sql("START TRANSACTION READ WRITE")
        except DBAPIError as error:
            if _errno(error) not in READ_ONLY:
                raise
            name = "MariaDB" if getattr(conn.dialect, "is_mariadb", False) else "MySQL"
            problem = "the server is read-only"
            raise UnsupportedDatabase(name, problem, "Connect to the primary.") from None
        conn.exec_driver_sql("ROLLBACK")

    def read_only(self) -> ColumnElement[bool]:
        return literal_column("@@global.read_only") == 1

    def examine(self, conn: Connection, tables: Sequence[Table]) -> Examination:
        return mysql_health.examine(conn)

    def is_transient(self, error: DBAPIError) -> bool:
        return _errno(error) in TRANSIENT

    def is_disconnect(self, error: DBAPIError) -> bool:
        return error.connection_invalidated or _errno(error) in GONE

    def is_refusal(self, error: DBAPIError) -> bool:
        return _errno(error) in REFUSED

    def lock_migration(
        self, conn: Connection, name: str, timeout: timedelta, *, begin: bool
    ) -> bool:
        # DDL commits by itself here, so there is nothing to begin and the lock is the session's.
        taken = conn.scalar(
            text("SELECT GET_LOCK(:name, :wait)"),
            {"name": _lock_name(name), "wait": -(-timeout // timedelta(seconds=1))},
        )
        return bool(taken)

    def unlock_migration(self, conn: Connection, name: str) -> None:
        conn.execute(text("DO RELEASE_LOCK(:name)"), {"name": _lock_name(name)})

    span_type = Microseconds()

    def later(self, span: BindParameter[Any]) -> ColumnElement[Any]:
        clock = func.utc_timestamp(literal_column("6"))
        return type_coerce(
            func.timestampadd(literal_column("MICROSECOND"), span, clock), UTCDateTime()
        )

    def claim(self, work: Work, claim: Claim, params: Values) -> Sequence[Row[Any]]:
        # The index gives the order (no filesort), so SKIP LOCKED locks just the rows it returns.
        work.begin()
        rows = work.conn.execute(claim.once(_locking), params).all()
        if rows:
            key = primary_key(claim.table)
            fresh = {f"new_{name}": rows[0]._mapping[name] for name in claim.values}
            keys = sorted(row._mapping[key.name] for row in rows)
            work.conn.execute(claim.once(_claiming), {**fresh, "keys": keys})
        return rows

    def insert_ignore(
        self, work: Work, table: Table, row: Values, *, computed: Changes = NOTHING
    ) -> bool:
        # Not INSERT IGNORE, which hides every other error too; not a no-op ON DUPLICATE KEY UPDATE,
        # whose count of matched rows is 1 either way. The error undoes just this statement.
        try:
            statement = plain_insert(self, table, *shape(row), tuple(computed.items()))
            work.conn.execute(statement, work.filled(row))
        except IntegrityError as error:
            if _errno(error) == DUPLICATE:
                return False
            raise
        return True

    def insert_many(
        self,
        work: Work,
        table: Table,
        names: tuple[str, ...],
        rows: Rows,
        *,
        timed: tuple[str, ...] = (),
        same: Values = NOTHING,
    ) -> int | None:
        super().insert_many(work, table, names, rows, timed=timed, same=same)
        return None  # new and old rows count alike, see insert_ignore

    def insert(self, table: Table) -> Insert:
        return insert(table)

    def or_nothing(self, statement: Any, table: Table) -> Executable:
        key = next(iter(table.primary_key))
        return self.or_change(statement, table, {key.name: key})

    def or_change(self, statement: Any, table: Table, changes: dict[str, Any]) -> Executable:
        return cast("Executable", statement.on_duplicate_key_update(changes))

    def batch(self, columns: Mapping[str, TypeEngine[Any]], size: int) -> FromClause:
        return json_table(bindparam("batch", type_=String()), columns)

    def lock_rows(self, rows: Select[Any], *, skip_locked: bool = True) -> Select[Any]:
        return rows.with_for_update(skip_locked=skip_locked)

    def read_current(self, rows: Select[Any]) -> Select[Any]:
        # Under REPEATABLE READ, the default of hosts, only locking reads see what is there now.
        return rows.with_for_update(read=True)


def _locking(claim: Claim) -> Executable:
    return seeing(claim).with_for_update(skip_locked=True)


def _claiming(claim: Claim) -> Executable:
    values = {
        name: bindparam(f"new_{name}", type_=claim.table.c[name].type) for name in claim.values
    }
    return (
        update(claim.table)
        .where(primary_key(claim.table).in_(bindparam("keys", expanding=True)))
        .values({**values, claim.bump.name: claim.bump + 1})
    )


def _set_autocommit(driver: Any, *, on: bool) -> None:
    driver.autocommit(on)


def _errno(error: DBAPIError) -> int | None:
    args = getattr(error.orig, "args", ())
    return args[0] if args and isinstance(args[0], int) else None


def _matched(conn: Connection) -> int | None:
    """Return how many rows the driver counts where one is matched, not changed; None if unknown.

    The fences need matched rows, but a host's driver may count the changed ones.
    """
    try:
        conn.exec_driver_sql(
            "CREATE TEMPORARY TABLE IF NOT EXISTS oqron_probe (v INT) ENGINE=InnoDB"
        )
    except DBAPIError as error:
        if _errno(error) in FORBIDDEN:
            return None
        raise
    conn.exec_driver_sql("DELETE FROM oqron_probe")
    conn.exec_driver_sql("INSERT INTO oqron_probe VALUES (1)")
    matched = conn.exec_driver_sql("UPDATE oqron_probe SET v = 1").rowcount
    conn.exec_driver_sql("DROP TEMPORARY TABLE oqron_probe")
    return matched


def _lock_name(name: str) -> str:
    return "oqron:" + hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


dialect = MySQL()
