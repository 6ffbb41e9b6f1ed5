"""PostgreSQL: claim and finish in one statement each, arrays for batches."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, cast

from sqlalchemy import (
    URL,
    BindParameter,
    ColumnElement,
    Connection,
    Executable,
    FromClause,
    Insert,
    Interval,
    Row,
    Select,
    String,
    Table,
    Text,
    any_,
    bindparam,
    case,
    column,
    func,
    literal_column,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSON, TIMESTAMP, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine
from sqlalchemy.util import await_only

from oqron_sql.dialects import pooling, postgresql_health, quoting
from oqron_sql.dialects.connecting import POOL_SIZE, switched
from oqron_sql.dialects.examining import Examination
from oqron_sql.dialects.upserting import Upserting
from oqron_sql.dialects.work import Claim, Counted, Rows, Values, Work, primary_key, row_key
from oqron_sql.errors import UnsupportedDatabase
from oqron_sql.hiding import Unshown

# serialization_failure, deadlock_detected, lock_not_available, disk_full
TRANSIENT = {"40001", "40P01", "55P03", "53100"}
# read_only_sql_transaction (a failover), admin_shutdown, crash_shutdown, cannot_connect_now
GONE = {"25006", "57P01", "57P02", "57P03"}
# invalid_password, invalid_authorization_specification, invalid_catalog_name
REFUSED = {"28P01", "28000", "3D000"}
# The same where libpq keeps the SQLSTATE of a connection to itself; some words may be translated.
REFUSED_BY_LIBPQ = re.compile(
    r"FATAL: +(password authentication failed|no pg_hba.conf entry|(role|database) .* not exist)"
)
SEVERAL = "Multiple connection attempts failed"  # psycopg's heading: a line for each follows
# "Failing row contains (...)" and the like
DETAIL = re.compile(r"\n(DETAIL|CONTEXT):.*", re.DOTALL)


class PostgreSQL(Upserting):
    """PostgreSQL 12 and later."""

    names: ClassVar = ("postgresql",)
    excluding: ClassVar = True
    partial_indexes: ClassVar = True
    pushes: ClassVar = True
    looks_dearly: ClassVar = True  # a sixth of what the server has to do
    autocommit: ClassVar = True
    extra: ClassVar = "postgresql"
    blocking_driver: ClassVar = "psycopg"
    table_options: ClassVar[Mapping[str, Any]] = {
        # Rows are updated twice and stay: leave room on the page, and vacuum before it is many.
        "postgresql_with": {"fillfactor": "85", "autovacuum_vacuum_scale_factor": "0.02"}
    }

    def key_type(self, dialect: Any) -> TypeEngine[Any]:
        return String(255, collation="C")

    def timestamp_type(self) -> TypeEngine[Any]:
        return TIMESTAMP(timezone=True)

    def engine_options(self, url: URL) -> dict[str, Any]:
        options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_size": POOL_SIZE}
        if url.get_driver_name() == "psycopg" and "client_encoding" not in url.query:
            # Else it returns bytes from a database without an encoding, which then cannot be told.
            options["connect_args"] = {"client_encoding": "utf8"}
        return options

    @contextlib.contextmanager
    def autocommitting(self, conn: Connection) -> Iterator[None]:
        with switched(conn, _set_autocommit):
            yield

    def pooled_options(self, url: URL) -> dict[str, Any]:
        return pooling.options(url)

    def check_pooler(self, conn: Connection, pooler: str | None) -> None:
        pooling.check(conn, pooler)

    def begin(self, conn: Connection) -> None:
        if not self.in_transaction(conn):  # a host's "begin" hook was first
            conn.exec_driver_sql("BEGIN ISOLATION LEVEL READ COMMITTED")

    def commit(self, conn: Connection) -> None:
        conn.exec_driver_sql("COMMIT")

    def rollback(self, conn: Connection) -> None:
        conn.exec_driver_sql("ROLLBACK")

    def in_transaction(self, conn: Connection) -> bool:
        driver: Any = conn.connection.driver_connection
        if hasattr(driver, "is_in_transaction"):  # asyncpg
            return bool(driver.is_in_transaction())
        info = getattr(driver, "info", None)  # psycopg
        return info is not None and info.transaction_status != 0

    def check_server(self, conn: Connection) -> None:
        version = conn.dialect.server_version_info or (0,)
        if version < (12,):
            shown = ".".join(map(str, version))
            raise UnsupportedDatabase(
                "PostgreSQL", f"version {shown} is too old", "Version 12 or later is needed."
            )
        self.check_writable(conn)
        encoding = conn.scalar(text("SHOW server_encoding"))
        if encoding != "UTF8":
            raise UnsupportedDatabase(
                "PostgreSQL",
                f"the database's encoding is {encoding}, not UTF8",
                "Create it with ENCODING 'UTF8'.",
            )
        encoding = conn.scalar(text("SHOW client_encoding"))
        if encoding != "UTF8":
            raise UnsupportedDatabase(
                "PostgreSQL",
                f"the connection's encoding is {encoding}, not UTF8",
                "Connect with client_encoding=utf8.",
            )

    def check_writable(self, conn: Connection) -> None:
        if conn.scalar(text("SHOW transaction_read_only")) == "off":
            return
        if conn.scalar(text("SELECT pg_is_in_recovery()")):
            raise UnsupportedDatabase(
                "PostgreSQL",
                "this server is a read-only standby",
                "Connect to the primary, e.g. with target_session_attrs=read-write.",
            )
        raise UnsupportedDatabase(
            "PostgreSQL",
            "transactions are read-only here",
            "Set default_transaction_read_only to off for this role and database.",
        )

    def read_only(self) -> ColumnElement[bool]:
        return func.current_setting("transaction_read_only") == "on"

    def examine(self, conn: Connection, tables: Sequence[Table]) -> Examination:
        return postgresql_health.examine(conn, tables)

    def is_transient(self, error: DBAPIError) -> bool:
        return _sqlstate(error) in TRANSIENT

    def is_disconnect(self, error: DBAPIError) -> bool:
        return error.connection_invalidated or _sqlstate(error) in GONE

    def is_refusal(self, error: DBAPIError) -> bool:
        if _sqlstate(error) is not None:
            return _sqlstate(error) in REFUSED
        attempts = [line for line in str(error.orig).splitlines() if SEVERAL not in line]
        return bool(attempts) and all(map(REFUSED_BY_LIBPQ.search, attempts))

    def redact(self, error: DBAPIError) -> None:
        quoting.cut(error, DETAIL)

    def lock_migration(
        self, conn: Connection, name: str, timeout: timedelta, *, begin: bool
    ) -> bool:
        if begin:
            self.begin(conn)
            _set_local(conn, "statement_timeout", "0")
        # A lock of the transaction, not of the session: it also holds behind a pooler.
        patience = conn.scalar(select(func.current_setting("lock_timeout")))
        _set_local(conn, "lock_timeout", f"{max(1, timeout // timedelta(milliseconds=1))}ms")
        try:
            conn.execute(select(func.pg_advisory_xact_lock(_number(name))))
        except DBAPIError as error:
            if _sqlstate(error) == "55P03":
                return False
            raise
        _set_local(conn, "lock_timeout", str(patience))
        return True

    def notify(self, conn: Connection, channel: str, payload: str) -> None:
        conn.execute(_NOTIFY, {"channel": channel, "payload": payload})

    def telling(self, statement: Any) -> Executable | None:
        return _telling(statement)

    def listen(self, conn: Connection, channel: str, heard: Callable[[str], None]) -> None:
        driver = _driver(conn)
        if hasattr(driver, "add_listener"):  # asyncpg
            await_only(driver.add_listener(channel, lambda *told: heard(told[-1])))
        else:
            conn.exec_driver_sql(f"LISTEN {conn.dialect.identifier_preparer.quote(channel)}")

    def hear(
        self,
        conn: Connection,
        seconds: float,
        heard: Callable[[str], None],
        rest: Callable[[float], None],
    ) -> None:
        driver = _driver(conn)
        if hasattr(driver, "add_listener"):
            rest(seconds)
            if driver.is_closed():
                raise ConnectionError("the connection that listened is closed")
            return
        told = driver.notifies(timeout=seconds, stop_after=1)
        try:
            if hasattr(told, "__aiter__"):
                await_only(_pass_on(told, heard))
            else:
                for each in told:
                    heard(each.payload)
        except conn.dialect.loaded_dbapi.Error as error:
            raise ConnectionError(str(error)) from error

    span_type = Interval()

    def later(self, span: BindParameter[Any]) -> ColumnElement[Any]:
        # Not now(), which is the start of the transaction; not clock_timestamp(), which no index
        # can serve. A statement that had to wait writes a lease that is shorter, never longer.
        return func.statement_timestamp(type_=TIMESTAMP(timezone=True)) + span

    def written(self, span: BindParameter[Any]) -> ColumnElement[Any]:
        # Read before the wait for a row, and again if somebody changed it meanwhile.
        return func.clock_timestamp(type_=TIMESTAMP(timezone=True)) + span

    def claim(self, work: Work, claim: Claim, params: Values) -> Sequence[Row[Any]]:
        return work.conn.execute(claim.once(_claiming), params).all()

    def change_counted(self, work: Work, counted: Counted, key: Values, params: Values) -> int:
        # One statement and so one round trip, where the portable way needs four.
        statement = counted.once(_counting)
        changed: int = work.conn.execute(statement, {**params, **work.filled(key)}).scalar_one()
        return changed

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
        # One document per column, which costs the client a third of what an array does: drivers
        # look at each element of that. Each is read into an array, so that the planner does not see
        # how many rows there are: told of 500, it reads a table of 40,000 rows rather than 500 by
        # their key, and joins them in a loop.
        arrays = [
            func.array(select(_read(f"batch_{name}", kind)).scalar_subquery())
            for name, kind in columns.items()
        ]
        return (
            func.unnest(*arrays)
            .table_valued(
                *(column(name, kind) for name, kind in columns.items()),
                with_ordinality="n",
                name="batch",
            )
            .render_derived()
        )

    def batch_values(self, columns: Mapping[str, TypeEngine[Any]], rows: Rows) -> dict[str, Any]:
        return {
            f"batch_{name}": Unshown(
                json.dumps(values, ensure_ascii=False, default=datetime.isoformat)
            )
            for name, values in zip(columns, zip(*rows, strict=True), strict=True)
        }

    def lock_rows(self, rows: Select[Any], *, skip_locked: bool = True) -> Select[Any]:
        # NO KEY UPDATE is what an UPDATE takes anyway.
        return rows.with_for_update(skip_locked=skip_locked, key_share=True)


_NOTIFY = select(func.pg_notify(bindparam("channel", type_=Text), bindparam("payload", type_=Text)))


def _driver(conn: Connection) -> Any:
    """Return the driver's own connection, also of one that was detached from its pool."""
    made: Any = conn.connection.dbapi_connection
    return conn.dialect.get_driver_connection(made)


@functools.lru_cache(maxsize=64)
def _telling(statement: Any) -> Executable:
    done = statement.returning(literal_column("1").label("one")).cte("done")
    n = func.count()
    told = func.pg_notify(
        bindparam("hint_channel", type_=Text), bindparam("hint_payload", type_=Text)
    )
    return select(n, case((n > 0, told))).select_from(done)


async def _pass_on(told: Any, heard: Callable[[str], None]) -> None:
    async for each in told:
        heard(each.payload)


def _read(name: str, kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """Return the elements of the JSON array in the parameter `name`, a row each."""
    document = bindparam(name, type_=Text).cast(JSON)
    return func.json_array_elements_text(document).cast(kind)


def _one_of(key: ColumnElement[Any], keys: Select[Any]) -> ColumnElement[bool]:
    """Return the condition that `key` is one of `keys`, for which the planner takes the index.

    How many there are it cannot see in an array made on the spot. Told of 500, it takes reading a
    table of 40,000 rows for cheaper than 500 look-ups, which it is not by far.
    """
    return key == any_(func.array(keys.scalar_subquery()))


def _claiming(claim: Claim) -> Executable:
    # Materialized, because the planner may run a LIMIT subquery again for each row of a nested
    # loop, and then update more rows than the limit allows.
    rows = claim.candidates.with_for_update(skip_locked=True, key_share=True)
    chosen = rows.cte("chosen").prefix_with("MATERIALIZED")
    return (
        update(claim.table)
        .where(_one_of(primary_key(claim.table), select(chosen.c[0])))
        .values({**claim.values, claim.bump.name: claim.bump + 1})
        .returning(*claim.returning)
    )


def _counting(counted: Counted) -> Executable:
    """Return the change and its count as one statement that selects how many rows it changed."""
    done = counted.change.returning(literal_column("1").label("one")).cte("done")
    keys = list(counted.counter.primary_key)
    given = [bindparam(f"new_{key.name}", type_=key.type) for key in keys]
    total = func.count(type_=counted.n.type)
    add = insert(counted.counter).from_select(
        [*(key.name for key in keys), counted.n.name],
        select(*given, total).select_from(done).having(total > 0),
    )
    added = add.on_conflict_do_update(
        index_elements=keys, set_={counted.n.name: counted.n + add.excluded[counted.n.name]}
    )
    return select(total).select_from(done).add_cte(added.cte("counted"))


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _set_autocommit(driver: Any, *, on: bool) -> None:
    driver.autocommit = on


def _set_local(conn: Connection, setting: str, value: str) -> None:
    """Change a setting until the transaction ends."""
    conn.execute(select(func.set_config(setting, value, true())))


def _number(name: str) -> int:
    """Return a 64-bit number for an advisory lock."""
    return int.from_bytes(
        hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True
    )


dialect = PostgreSQL()
