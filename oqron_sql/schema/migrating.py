"""Running revisions, one process at a time.

Nothing here uses Alembic's `env.py`, `op` or `context`, which are globals of the process: several
stores may migrate in one process. Alembic is imported only when there is work for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from oqron_sql import dialects
from oqron_sql.dialects import Dialect
from oqron_sql.errors import ConfigurationError, LockTimeout
from oqron_sql.schema.revisions import age, directory, read, refuse_unknown, version_table

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory


@dataclasses.dataclass(frozen=True)
class Move:
    """From whatever revision there is up, or down, to another; None is the one before the first."""

    to: str | None
    prefix: str
    schema: str | None
    timeout: timedelta
    up: bool

    def is_done(self, found: str | None) -> bool:
        """Whether the tables are there already, or beyond."""
        return age(found) >= age(self.to) if self.up else age(found) <= age(self.to)

    def plan(self, script: ScriptDirectory, found: Any) -> Any:
        """Return Alembic's steps; these two are what its own commands call."""
        to = self.to or "base"
        return script._upgrade_revs(to, found) if self.up else script._downgrade_revs(to, found)


class Overtaken(Exception):
    """Somebody else wrote a revision down first; Alembic's error is the cause."""


def run(bind: Engine | Connection, move: Move) -> None:
    """Migrate, alone.

    Where the lock holds for one node of a cluster only, or there is none, starters get in each
    other's way; each of them goes on for as long as any of them does.
    """
    if isinstance(bind, Connection):
        return _run_once(bind, move)
    before: object = None
    while True:
        try:
            return _run_once(bind, move)
        except (DBAPIError, Overtaken):
            now = _traces(bind, move.prefix, move.schema)
            if not now or now == before:
                raise
            before = now


@contextlib.contextmanager
def locked(
    bind: Engine | Connection, prefix: str, schema: str | None, timeout: timedelta
) -> Iterator[Connection]:
    """Enter a transaction in which nobody else migrates these tables.

    A connection's own transaction is joined and left open; any other is committed at the end.

    Raises:
        LockTimeout: somebody else was migrating for longer than `timeout`.
    """
    name = f"{schema or ''}.{version_table(prefix, schema)}"
    dialect = dialects.get(bind.dialect.name)
    if isinstance(bind, Engine):
        with (
            dialects.adopt(bind).connect() as conn,
            dialect.autocommitting(conn),
            _holding(dialect, conn, name, timeout, own=True),
        ):
            yield conn
    else:
        with (
            dialects.borrowed(bind) as conn,
            _holding(dialect, conn, name, timeout, own=dialect.autocommits(conn)),
        ):
            yield conn


@contextlib.contextmanager
def _holding(
    dialect: Dialect, conn: Connection, name: str, timeout: timedelta, *, own: bool
) -> Iterator[None]:
    try:
        if not dialect.lock_migration(conn, name, timeout, begin=own):
            raise LockTimeout(name, timeout)
        yield
        if own:
            dialect.commit(conn)
        dialect.unlock_migration(conn, name)
    except BaseException:
        try:
            if own:
                dialect.rollback(conn)
            dialect.unlock_migration(conn, name)
        except SQLAlchemyError:
            conn.invalidate()  # the transaction and the lock go with the connection
        raise


def _run_once(bind: Engine | Connection, move: Move) -> None:
    with locked(bind, move.prefix, move.schema, move.timeout) as conn:
        found = read(conn, move.prefix, move.schema)
        refuse_unknown(found)
        if move.is_done(found):
            return
        if move.schema is not None and not inspect(conn).has_schema(move.schema):
            raise ConfigurationError(f"there is no schema {move.schema!r}; create it first")
        _run_revisions(conn, move)


def _run_revisions(conn: Connection, move: Move) -> None:
    from alembic.ddl.impl import DefaultImpl
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        DefaultImpl.get_by_dialect(conn.dialect)
    except KeyError:
        # A database that Alembic has never heard of: its defaults will do, once they have a name.
        type(f"{conn.dialect.name}_impl", (DefaultImpl,), {"__dialect__": conn.dialect.name})
    script = ScriptDirectory(directory())
    context = MigrationContext.configure(
        conn,
        opts={
            "script": script,
            "fn": lambda found, _: move.plan(script, found),
            "version_table": version_table(move.prefix, move.schema),
            "version_table_schema": move.schema,
        },
    )
    # MariaDB ignores the name that Alembic gives to this key, and warns of it. There is no option
    # for that; should the attribute go, the warning comes back and nothing else.
    if (known := getattr(context, "_version", None)) is not None:
        known.primary_key.name = None
    op, versions = Operations(context), version_table(move.prefix, move.schema)
    try:
        context.run_migrations(op=op, prefix=move.prefix, schema=move.schema)
    except CommandError as error:
        raise Overtaken from error
    if move.to is None:
        op.drop_table(versions, schema=move.schema)


def _traces(engine: Engine, prefix: str, schema: str | None) -> set[tuple[str, str | None]]:
    """Return what has been made so far, by whomever."""
    with dialects.adopt(engine).connect() as conn:
        inspector = inspect(conn)
        tables = [name for name in inspector.get_table_names(schema) if name.startswith(prefix)]
        made: set[tuple[str, str | None]] = {(name, None) for name in tables}
        for name in tables:
            made |= {(name, index["name"]) for index in inspector.get_indexes(name, schema)}
        return made | {("", read(conn, prefix, schema))} if made else made
