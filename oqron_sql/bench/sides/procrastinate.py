"""Procrastinate, in a schema of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from oqron_sql.bench.side import CONCURRENCY, PER_CALL, Note
from oqron_sql.bench.sides.schemas import OwnSchema

CONNECTIONS = 10
LEFT = (
    "SELECT count(*) AS n FROM procrastinate_jobs"
    " WHERE queue_name = %(queue)s AND status IN ('todo', 'doing')"
)


class Procrastinate(OwnSchema):
    """Its app, over a pool of psycopg."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(url, name)
        self._notes: list[Note] = []

    async def open(self) -> None:
        """Connect."""
        from procrastinate import App, PsycopgConnector

        self._app: Any = App(
            connector=PsycopgConnector(
                conninfo=self.plain_url,
                kwargs={"options": f"-c search_path={self.name}"},
                max_size=CONNECTIONS,
            )
        )

        @self._app.task(name="noop")
        async def noop(sent: float) -> None:
            self._notes[-1](sent)

        await self._app.open_async()

    async def close(self) -> None:
        """Disconnect."""
        await self._app.close_async()

    async def install(self) -> None:
        """Make its tables."""
        await self.make_schema()
        await self.open()
        await self._app.schema_manager.apply_schema_async()

    async def add(self, queue: str, sent: float) -> None:
        """Add one job."""
        await self._app.configure_task("noop", queue=queue).defer_async(sent=sent)

    async def add_bulk(self, queue: str, sents: list[float], *, grouped: bool) -> bool:
        """Add many jobs, a thousand in a call."""
        task = self._app.configure_task("noop", queue=queue)
        for first in range(0, len(sents), PER_CALL):
            part = sents[first : first + PER_CALL]
            await task.batch_defer_async(*({"sent": sent} for sent in part))
        return not grouped

    async def left(self, queue: str) -> int:
        """Count the jobs that have not ended."""
        row = await self._app.connector.execute_query_one_async(LEFT, queue=queue)
        return int(row["n"])

    async def clear(self, queue: str) -> None:
        """Delete all jobs."""
        await self._app.connector.execute_query_async("TRUNCATE procrastinate_jobs CASCADE")

    @asynccontextmanager
    async def working(self, queue: str, note: Note, *, grouped: bool) -> AsyncIterator[None]:
        """Run its worker."""
        self._notes.append(note)
        running = asyncio.create_task(
            self._app.run_worker_async(
                queues=[queue], concurrency=CONCURRENCY, install_signal_handlers=False
            )
        )
        try:
            yield
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


SIDE = Procrastinate
