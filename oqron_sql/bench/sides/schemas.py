"""What those have in common whose tables go into a schema of PostgreSQL that is dropped."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa


class OwnSchema:
    """A schema with the name of the run."""

    def __init__(self, url: str, name: str) -> None:
        made = sa.make_url(url)
        self.name = name
        self.plain_url = made.set(drivername="postgresql").render_as_string(hide_password=False)
        self._url = made.set(drivername="postgresql+psycopg")

    async def make_schema(self) -> None:
        """Make the schema."""
        await asyncio.to_thread(self._run, sa.schema.CreateSchema(self.name))

    async def remove(self) -> None:
        """Drop the schema and everything in it."""
        drop = sa.schema.DropSchema(self.name, cascade=True, if_exists=True)
        await asyncio.to_thread(self._run, drop)

    def _run(self, statement: Any) -> None:
        engine = sa.create_engine(self._url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as conn:
            conn.execute(statement)
