"""Bringing the tables to the revision this version needs, whoever else does the same at once."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Literal, get_args

from sqlalchemy import Connection, Engine

from oqron_sql import dialects
from oqron_sql.errors import ConfigurationError, SchemaOutOfDate
from oqron_sql.schema.migrating import Move, run
from oqron_sql.schema.revisions import HEAD, glance, prefixes, read, refuse_unknown
from oqron_sql.schema.tables import DEFAULT_PREFIX

Mode = Literal["auto", "check", "off"]

LOCK_TIMEOUT = timedelta(seconds=60)


def ensure(
    engine: Engine,
    *,
    mode: Mode = "auto",
    prefix: str = DEFAULT_PREFIX,
    schema: str | None = None,
    timeout: timedelta = LOCK_TIMEOUT,
) -> None:
    """Make sure that the tables are those of this version: one SELECT if they are.

    Raises:
        SchemaOutOfDate: they are newer or, with mode "check", older or missing.
        LockTimeout: somebody else was migrating for longer than `timeout`.
        ConfigurationError: the schema does not exist, or a table of that name is somebody else's.
    """
    check_mode(mode)
    if mode == "off":
        return
    found = glance(engine, prefix, schema)
    if found == HEAD:
        return
    if mode == "check":
        check(engine, prefix=prefix, schema=schema)
        return
    refuse_unknown(found)
    upgrade(engine, prefix=prefix, schema=schema, timeout=timeout)


def check_mode(mode: str) -> None:
    """Check that there is such a mode.

    Raises:
        ConfigurationError: there is none.
    """
    if mode not in get_args(Mode):
        raise ConfigurationError(f'migrate={mode!r} must be "auto", "check" or "off"')


def head() -> str:
    """Return the revision that this version needs."""
    return HEAD


def current(
    bind: Engine | Connection, *, prefix: str = DEFAULT_PREFIX, schema: str | None = None
) -> str | None:
    """Return the revision that the tables have; None if there are none."""
    with _connection(bind) as conn:
        return read(conn, prefix, schema)


def check(
    bind: Engine | Connection, *, prefix: str = DEFAULT_PREFIX, schema: str | None = None
) -> None:
    """Check that the tables are those of this version; changes nothing.

    Raises:
        SchemaOutOfDate: they are not.
    """
    with _connection(bind) as conn:
        found = read(conn, prefix, schema)
        refuse_unknown(found)
        if found == HEAD:
            return
        others = prefixes(conn, schema) if found is None else ()
    command = shlex.join(["oqron-sql", "migrate", "upgrade", *naming(prefix, schema)])
    remedy = (
        f"Upgrade the tables with `{command}`, `alembic upgrade head` or "
        'oqron_sql.migrate.upgrade(engine), or connect with migrate="auto".'
    )
    raise SchemaOutOfDate(found, HEAD, remedy, others)


def upgrade(
    bind: Engine | Connection,
    *,
    prefix: str = DEFAULT_PREFIX,
    schema: str | None = None,
    to: str = "head",
    timeout: timedelta = LOCK_TIMEOUT,
) -> None:
    """Upgrade the tables to a revision; many may do so at once.

    On a connection in a transaction this joins it and leaves the commit to the caller, so that a
    revision of the application's own may call it. On MySQL and MariaDB tables commit by themselves.

    Raises:
        SchemaOutOfDate: the tables are newer than this version.
        LockTimeout: somebody else was migrating for longer than `timeout`.
        ConfigurationError: there is no such schema or revision, or a table is somebody else's.
    """
    target = HEAD if to == "head" else to
    run(bind, Move(target, prefix, schema, timeout, up=True))


def downgrade(
    bind: Engine | Connection,
    *,
    prefix: str = DEFAULT_PREFIX,
    schema: str | None = None,
    to: str = "base",
    timeout: timedelta = LOCK_TIMEOUT,
) -> None:
    """Go back to a revision; "base" drops the tables and every job in them.

    Raises:
        SchemaOutOfDate: the tables are newer than this version.
        LockTimeout: somebody else was migrating for longer than `timeout`.
    """
    target = None if to == "base" else to
    run(bind, Move(target, prefix, schema, timeout, up=False))


def naming(prefix: str, schema: str | None) -> list[str]:
    """Return the options of a command that name tables which are not called as by default."""
    named = [] if prefix == DEFAULT_PREFIX else ["--prefix", prefix]
    return named if schema is None else [*named, "--schema", schema]


def _connection(bind: Engine | Connection) -> AbstractContextManager[Connection]:
    if isinstance(bind, Connection):
        return dialects.borrowed(bind)
    return dialects.adopt(bind).connect()
