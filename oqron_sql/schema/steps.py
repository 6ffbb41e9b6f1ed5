"""What revisions are written with: steps that may be taken again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, inspect

from oqron_sql.errors import ConfigurationError


class Steps:
    """Alembic's operations, except that a step which has been taken already is passed over.

    Some databases commit after each of them: when a migration is killed there, the next one finds
    half of the tables.
    """

    def __init__(self, op: Any, schema: str | None) -> None:
        self._op = op
        self._schema = schema
        offline = op.get_context().as_sql
        self._inspector = None if offline else inspect(op.get_bind())
        self._new: set[str] = set()

    def create_table(self, name: str, *items: Any, **options: Any) -> None:
        """Create a table.

        Raises:
            ConfigurationError: another table has that name.
        """
        there = self._columns(name)
        if there is None:
            self._op.create_table(name, *items, schema=self._schema, **options)
            self._new.add(name)
        elif there != {item.name for item in items if isinstance(item, Column)}:
            raise ConfigurationError(
                f"the database has a table {name!r} that is not oqron_sql's; use another prefix"
            )

    def create_index(self, name: str, table: str, columns: list[str], **options: Any) -> None:
        """Create an index."""
        if table in self._new or name not in self._indexes(table):
            self._op.create_index(name, table, columns, schema=self._schema, **options)

    def drop_table(self, name: str) -> None:
        """Drop a table and its indexes."""
        if self._inspector is None or self._columns(name) is not None:
            self._op.drop_table(name, schema=self._schema)

    def _columns(self, table: str) -> set[str] | None:
        """Return the names of the columns, None if there is no such table."""
        if self._inspector is None or not self._inspector.has_table(table, self._schema):
            return None
        return {column["name"] for column in self._inspector.get_columns(table, self._schema)}

    def _indexes(self, table: str) -> set[str | None]:
        if self._inspector is None:
            return set()
        return {index["name"] for index in self._inspector.get_indexes(table, self._schema)}
