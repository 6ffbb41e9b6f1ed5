"""The registry: one line per database. Nothing outside this folder knows a database by name."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from sqlalchemy import Connection, Engine

from oqron_sql.dialects.base import Dialect
from oqron_sql.dialects.examining import Examination, Finding
from oqron_sql.dialects.work import Claim, Counted, Work
from oqron_sql.dialects.written import IsoTimestamp
from oqron_sql.errors import ConfigurationError

__all__ = [
    "NAMES",
    "Claim",
    "Counted",
    "Dialect",
    "Examination",
    "Finding",
    "IsoTimestamp",
    "Work",
    "adopt",
    "borrowed",
    "get",
    "index_options",
    "register",
    "table_options",
]

ENTRY_POINTS = "oqron_sql.dialects"
_PORTABLE = Dialect()
# Our tables are where `schema` says, and our results are read at once.
_OURS: dict[str, Any] = {"schema_translate_map": None, "stream_results": False, "yield_per": None}

_registry: dict[str, str | Dialect] = {
    "postgresql": "oqron_sql.dialects.postgresql",
    "sqlite": "oqron_sql.dialects.sqlite",
    "mysql": "oqron_sql.dialects.mysql",
    "mariadb": "oqron_sql.dialects.mysql",
}
NAMES = tuple(_registry)
"""The databases that this package knows, as SQLAlchemy calls them."""


def register(name: str, dialect: Dialect | None) -> None:
    """Let `dialect` serve SQLAlchemy's dialect `name`; None means the portable defaults."""
    _registry[name] = dialect or _PORTABLE


def get(name: str) -> Dialect:
    """Return the dialect for `engine.dialect.name`: registered, installed, or the defaults.

    Raises:
        ConfigurationError: an installed package brings one that cannot be used.
    """
    found = _registry.get(name) or _installed(name) or _PORTABLE
    if isinstance(found, str):
        found = import_module(found).dialect
    _registry[name] = found
    return found


def adopt(engine: Engine) -> Engine:
    """Return a host's engine as it is used for our tables; its own settings stay as they are."""
    return engine.execution_options(**{name: _OURS[name] for name in _unsuitable(engine)})


@contextlib.contextmanager
def borrowed(conn: Connection) -> Iterator[Connection]:
    """Use a host's connection for our tables, and give it back as it was."""
    theirs = _unsuitable(conn)
    if not theirs:
        yield conn
        return
    conn.execution_options(**{name: _OURS[name] for name in theirs})
    try:
        yield conn
    finally:
        conn.execution_options(**theirs)


def _unsuitable(bind: Engine | Connection) -> dict[str, Any]:
    """Return the execution options of a host that would change what our statements do."""
    options = bind.get_execution_options()
    return {name: options[name] for name in _OURS if options.get(name)}


def table_options() -> dict[str, Any]:
    """Return the keywords of every dialect for `Table`; SQLAlchemy ignores those of the others."""
    return {key: value for dialect in _all() for key, value in dialect.table_options.items()}


def index_options(where: Any) -> dict[str, Any]:
    """Return the keywords that make an index partial where the database can do that."""
    return {
        f"{name}_where": where
        for dialect in _all()
        if dialect.partial_indexes
        for name in dialect.names
    }


def _all() -> Iterator[Dialect]:
    for found in tuple(_registry):
        yield get(found)
    for entry in _brought():
        if entry.name not in _registry:
            with contextlib.suppress(ConfigurationError):  # told to whoever uses that database
                yield get(entry.name)


@functools.cache  # what is installed is read from many files, and each revision asks
def _brought() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINTS))


def _installed(name: str) -> Dialect | None:
    """Return the dialect that an installed package brings for `name`.

    Raises:
        ConfigurationError: it cannot be loaded, or is no dialect.
    """
    for entry in (brought for brought in _brought() if brought.name == name):
        try:
            dialect = entry.load()
        except Exception as error:
            raise ConfigurationError(
                f"the entry point {entry.value!r} for the dialect {name!r} cannot be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(dialect, Dialect):
            raise ConfigurationError(
                f"the entry point {entry.value!r} for the dialect {name!r} is not an oqron_sql "
                "Dialect; let it name an instance of your subclass"
            )
        return dialect
    return None
