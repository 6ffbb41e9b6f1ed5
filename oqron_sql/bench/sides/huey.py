"""Huey on SQLite, with its defaults, in a file of its own beside the database."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from oqron_sql.bench.side import Note
from oqron_sql.dialects.sqlite import COMPANIONS


class Huey:
    """Its consumer with one thread: more would wait for the same file."""

    def __init__(self, url: str, name: str) -> None:
        self._path = f"{os.path.abspath(sa.make_url(url).database or '')}.{name}"
        self._note: list[Note] = []

    async def open(self) -> None:
        """Open the file."""
        from huey import SqliteHuey

        logging.getLogger("huey").setLevel(logging.ERROR)
        self._huey: Any = SqliteHuey("bench", filename=self._path)

        @self._huey.task(name="noop")  # type: ignore[untyped-decorator]  # it has no types
        def noop(sent: float) -> None:
            self._note[-1](sent)

        self._noop = noop

    async def close(self) -> None:
        """Close the file."""
        self._huey.storage.close()

    async def install(self) -> None:
        """Make the file, which opening does."""
        await self.open()

    async def remove(self) -> None:
        """Delete the file."""
        for companion in COMPANIONS:
            Path(self._path + companion).unlink(missing_ok=True)

    async def add(self, queue: str, sent: float) -> None:
        """Add one job."""
        await asyncio.to_thread(self._noop, sent)

    async def add_bulk(self, queue: str, sents: list[float], *, grouped: bool) -> bool:
        """Add many jobs, each by itself: there is no other way."""

        def add_each() -> None:
            for sent in sents:
                self._noop(sent)

        await asyncio.to_thread(add_each)
        return False

    async def left(self, queue: str) -> int:
        """Count the jobs that have not begun."""
        return int(self._huey.storage.queue_size())

    async def clear(self, queue: str) -> None:
        """Delete all jobs and results."""
        self._huey.storage.flush_all()

    @asynccontextmanager
    async def working(self, queue: str, note: Note, *, grouped: bool) -> AsyncIterator[None]:
        """Run its consumer."""
        self._note.append(note)
        consumer = self._huey.create_consumer(workers=1, periodic=False)
        consumer.start()
        try:
            yield
        finally:
            await asyncio.to_thread(consumer.stop, graceful=True)


SIDE = Huey
