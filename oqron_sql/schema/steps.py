"""What revisions are written with: steps that may be taken again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, String, column, inspect, table

from oqron_sql.errors import ConfigurationError
from oqron_sql.schema.revisions import version_table
from oqron_sql.schema.tables import DEFAULT_PREFIX


def located(op: Any, prefix: str | None, schema: str | None) -> tuple[str, str | None]:
    """Return prefix and schema of the tables: as told, or as the application's `env.py` says.

    Among an application's own revisions nobody passes arguments, but its `context.configure` takes
    `oqron_prefix` and `oqron_schema`.
    """
    options = op.get_context().opts
    prefix = prefix or options.get("oqron_prefix") or DEFAULT_PREFIX
    return prefix, schema or options.get("oqron_schema")


class Steps:
    """Alembic's operations, except that a step which has been taken already is passed over.

    Some databases commit after each of them: when a migration is killed there, the next one finds
    half of the tables.
    """

    def __init__(self, op: Any, prefix: str, schema: str | None) -> None:
        self._op = op
        self._prefix, self._schema = prefix, schema
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

    def record(self, before: str | None, after: str | None) -> None:
        """Note the revision that the tables have now, if it is not our own Alembic that does so."""
        context, name = self._op.get_context(), version_table(self._prefix, self._schema)
        if (context.version_table, context.version_table_schema) == (name, self._schema):
            return
        number = column("version_num", String(32))
        versions = table(name, number, schema=self._schema)
        if after is None:
            self.drop_table(name)
            return
        if before is None and self._columns(name) is None:
            self._op.create_table(
                name,
                Column("version_num", String(32), primary_key=True),
                schema=self._schema,
            )
        self._op.execute(versions.delete())
        self._op.execute(versions.insert().values(version_num=after))

    def _columns(self, name: str) -> set[str] | None:
        """Return the names of the columns, None if there is no such table."""
        if self._inspector is None or not self._inspector.has_table(name, self._schema):
            return None
        return {each["name"] for each in self._inspector.get_columns(name, self._schema)}

    def _indexes(self, table: str) -> set[str | None]:
        if self._inspector is None:
            return set()
        return {index["name"] for index in self._inspector.get_indexes(table, self._schema)}
