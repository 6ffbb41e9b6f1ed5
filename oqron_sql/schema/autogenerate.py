"""Alembic's plugin: what an application autogenerates leaves our tables alone, unasked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from oqron_sql.errors import InvalidPrefix
from oqron_sql.schema.revisions import OURS, VERSION_TABLE, read, version_table
from oqron_sql.schema.tables import MARK, tables

if TYPE_CHECKING:
    from alembic.runtime.plugins import Plugin

Names = set[tuple[str | None, str]]


def names(prefix: str, schema: str | None) -> Names:
    """Return schema and name of each table of a store, the one of its revision included."""
    made = tables(prefix, schema).metadata.tables.values()
    return {(schema, table.name) for table in made} | {(schema, version_table(prefix, schema))}


def leave_alone(context: Any, upgrade_ops: Any) -> Any:
    """Take from the operations that Alembic has found those on our tables."""
    from alembic.util import PriorityDispatchResult

    migration = context.migration_context
    host = (migration.version_table_schema, migration.version_table)
    declared = {
        (table.schema, table.info[MARK]) for table in context.sorted_tables if MARK in table.info
    }
    if not any(host == (schema, version_table(prefix, None)) for schema, prefix in declared):
        schemas = {operation.schema for operation in _on_tables(upgrade_ops)}
        stores = declared | set(_found(context, schemas, host))
        ours = {name for schema, prefix in stores for name in names(prefix, schema)}
        _drop(upgrade_ops, ours)
    return PriorityDispatchResult.CONTINUE


def _found(
    context: Any, schemas: set[str | None], host: tuple[str | None, str]
) -> Iterator[tuple[str | None, str]]:
    """Yield schema and prefix of each store that the database has in `schemas`."""
    for schema in schemas:
        for name in context.inspector.get_table_names(schema):
            prefix = name.removesuffix(VERSION_TABLE)
            if prefix == name or (schema, name) == host:
                continue
            try:
                revision = read(context.connection, prefix, schema)
            except InvalidPrefix:
                continue
            if re.match(OURS, revision or ""):
                yield schema, prefix


def _on_tables(container: Any) -> Iterator[Any]:
    return (each for each in container.ops if hasattr(each, "table_name"))


def _drop(container: Any, ours: Names) -> None:
    gone = [each for each in _on_tables(container) if (each.schema, each.table_name) in ours]
    container.ops[:] = [each for each in container.ops if each not in gone]


class _Plugin(ModuleType):
    """The entry point; before 1.20.1 Alembic looked for the modules inside of it."""

    def __iter__(self) -> Iterator[ModuleType]:
        yield self

    def setup(self, plugin: Plugin) -> None:
        """Register what the plugin does."""
        from alembic.util import DispatchPriority

        plugin.add_autogenerate_comparator(
            leave_alone, "autogenerate", priority=DispatchPriority.LAST
        )


plugin = _Plugin(__name__)
