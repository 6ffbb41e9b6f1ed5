"""The registry: one line per database. Nothing outside this folder knows a database by name."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from oqron_sql.dialects.base import Claim, Dialect, IsoTimestamp, Work

__all__ = [
    "Claim",
    "Dialect",
    "IsoTimestamp",
    "Work",
    "get",
    "index_options",
    "register",
    "table_options",
]

ENTRY_POINTS = "oqron_sql.dialects"
_PORTABLE = Dialect()

_registry: dict[str, str | Dialect] = {
    "postgresql": "oqron_sql.dialects.postgresql",
    "sqlite": "oqron_sql.dialects.sqlite",
    "mysql": "oqron_sql.dialects.mysql",
    "mariadb": "oqron_sql.dialects.mysql",
}


def register(name: str, dialect: Dialect | None) -> None:
    """Let `dialect` serve SQLAlchemy's dialect `name`; None means the portable defaults."""
    _registry[name] = dialect or _PORTABLE


def get(name: str) -> Dialect:
    """Return the dialect for `engine.dialect.name`: registered, installed, or the defaults."""
    found = _registry.get(name) or _installed(name) or _PORTABLE
    if isinstance(found, str):
        found = import_module(found).dialect
    _registry[name] = found
    return found


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


def _installed(name: str) -> Dialect | None:
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        dialect = entry.load()
        if not isinstance(dialect, Dialect):
            raise TypeError(f"entry point {entry.value!r} is not an oqron_sql Dialect")
        return dialect
    return None
