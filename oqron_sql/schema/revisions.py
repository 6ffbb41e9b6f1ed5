"""Which revision the tables have, and which ones there are; all of it without Alembic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, Select, String, column, inspect, select, table
from sqlalchemy.exc import DBAPIError

from oqron_sql import dialects
from oqron_sql.errors import ConfigurationError, SchemaOutOfDate
from oqron_sql.schema.tables import check_identifier

REVISIONS = ("oqron0001", "oqron0002", "oqron0003", "oqron0004")
"""Every revision, oldest first: what the folder has, told here because Alembic takes a second."""
HEAD = REVISIONS[-1]
OURS = r"oqron\d{4}$"
VERSION_TABLE = "alembic_version"

_PACKAGE = Path(__file__).resolve().parents[1]
_TOO_NEW = "A newer version of oqron_sql made it: upgrade this application."


def directory() -> Path:
    """Return the folder of the revisions: inside the installed package, or beside a checkout's."""
    inside = _PACKAGE / "migrations"
    return inside if inside.is_dir() else _PACKAGE.parent / "migrations"


def version_table(prefix: str, schema: str | None) -> str:
    """Return the name of the table that holds the revision; there is one per schema and prefix."""
    check_identifier("prefix", prefix)
    if schema is not None:
        check_identifier("schema", schema)
    return f"{prefix}{VERSION_TABLE}"


def read(conn: Connection, prefix: str, schema: str | None) -> str | None:
    """Return the revision, None without one; never spoils the transaction of `conn`."""
    if not inspect(conn).has_table(version_table(prefix, schema), schema):
        return None
    return _newest(conn.scalars(_stored(prefix, schema)).all())


def prefixes(conn: Connection, schema: str | None) -> list[str]:
    """Return the prefixes under which there are tables like ours, as far as names tell."""
    found = inspect(conn)
    if schema is not None and not found.has_schema(schema):
        return []
    names = {*found.get_table_names(schema)}
    begun = {name.removesuffix(VERSION_TABLE) for name in names if name.endswith(VERSION_TABLE)}
    return sorted(
        prefix for prefix in begun - {""} if {f"{prefix}jobs", f"{prefix}queues"} <= names
    )


def glance(engine: Engine, prefix: str, schema: str | None) -> str | None:
    """Return the revision, None without one; a single SELECT if there is one."""
    engine = dialects.adopt(engine)
    statement = _stored(prefix, schema)
    try:
        with engine.connect() as conn:
            return _newest(conn.scalars(statement).all())
    except DBAPIError:
        # Most likely there is no such table. If it is anything else, it is raised once more.
        with engine.connect() as conn:
            return read(conn, prefix, schema)


def age(revision: str | None) -> int:
    """Return a number that grows with every revision; 0 before the first.

    Raises:
        ConfigurationError: there is no such revision.
    """
    if revision is None:
        return 0
    if revision not in REVISIONS:
        raise ConfigurationError(f"there is no revision {revision!r}; the newest is {HEAD!r}")
    return REVISIONS.index(revision) + 1


def refuse_unknown(found: str | None) -> None:
    """Refuse to touch tables that this version knows nothing about.

    Raises:
        SchemaOutOfDate: their revision is not one of ours.
    """
    if found is not None and found not in REVISIONS:
        raise SchemaOutOfDate(found, HEAD, _TOO_NEW)


def _stored(prefix: str, schema: str | None) -> Select[str]:
    name, number = version_table(prefix, schema), column("version_num", String(32))
    return select(number).select_from(table(name, number, schema=schema))


def _newest(found: Sequence[str]) -> str | None:
    unknown = [revision for revision in found if revision not in REVISIONS]
    return unknown[0] if unknown else max(found, key=age, default=None)
