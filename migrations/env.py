"""What the `alembic` command runs; the library itself does without it."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: TID251 - a command may be asyncio
from sqlalchemy.util import greenlet_spawn

from oqron_sql.engines import read_url
from oqron_sql.errors import ConfigurationError
from oqron_sql.migrate import LOCK_TIMEOUT
from oqron_sql.schema.migrating import locked
from oqron_sql.schema.revisions import version_table
from oqron_sql.schema.tables import DEFAULT_PREFIX, tables

attributes = context.config.attributes
given = {**context.get_x_argument(as_dictionary=True), **attributes}
prefix, schema = given.get("prefix", DEFAULT_PREFIX), given.get("schema")
metadata = tables(prefix, schema).metadata
ours = {table.name for table in metadata.tables.values()}


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Look at our own tables alone."""
    return name == schema if kind == "schema" else kind != "table" or name in ours


def run(**how: Any) -> None:
    context.configure(
        target_metadata=metadata,
        version_table=version_table(prefix, schema),
        version_table_schema=schema,
        include_schemas=schema is not None,
        include_name=include_name,
        **how,
    )
    with context.begin_transaction():
        context.run_migrations(prefix=prefix, schema=schema)


def run_online(bind: sa.Engine | sa.Connection) -> None:
    with locked(bind, prefix, schema, LOCK_TIMEOUT) as connection:
        run(connection=connection)


async def run_async(url: sa.URL) -> None:
    engine = create_async_engine(url, poolclass=sa.NullPool)
    try:
        await greenlet_spawn(run_online, engine.sync_engine)
    finally:
        await engine.dispose()


def find_url() -> sa.URL:
    url = given.get("url") or os.environ.get("OQRON_URL")
    if not url:
        raise CommandError("name the database: `-x url=...`, or OQRON_URL in the environment")
    try:
        return read_url(url)
    except ConfigurationError as error:
        raise CommandError(str(error)) from None


def main() -> None:
    if context.is_offline_mode():
        run(url=find_url(), literal_binds=True, dialect_opts={"paramstyle": "named"})
    elif attributes.get("connection") is not None:
        run_online(attributes["connection"])
    elif (url := find_url()).get_dialect().is_async:
        asyncio.run(run_async(url))
    else:
        run_online(sa.create_engine(url, poolclass=sa.NullPool))


main()
