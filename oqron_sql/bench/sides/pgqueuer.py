"""PgQueuer, in a schema of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from oqron_sql.bench.side import CONCURRENCY, PER_CALL, Note
from oqron_sql.bench.sides.schemas import OwnSchema

CONNECTIONS = 10


class PgQueuer(OwnSchema):
    """Its queries and its QueueManager, over a pool of asyncpg."""

    async def open(self) -> None:
        """Connect."""
        os.environ["PGQUEUER_PREFIX"] = f"{self.name}_"  # read when it is imported
        import asyncpg  # type: ignore[import-untyped]  # it has no types
        from pgqueuer.adapters.persistence.queries import Queries

        self._pool = await asyncpg.create_pool(
            self.plain_url,
            min_size=1,
            max_size=CONNECTIONS,
            server_settings={"search_path": self.name},
        )
        self._queries: Any = Queries.from_asyncpg_pool(self._pool)

    async def close(self) -> None:
        """Disconnect."""
        await self._pool.close()

    async def install(self) -> None:
        """Make its tables."""
        await self.make_schema()
        await self.open()
        await self._queries.install()

    async def add(self, queue: str, sent: float) -> None:
        """Add one job."""
        await self._queries.enqueue(queue, str(sent).encode())

    async def add_bulk(self, queue: str, sents: list[float], *, grouped: bool) -> bool:
        """Add many jobs, a thousand in a call."""
        for first in range(0, len(sents), PER_CALL):
            part = [str(sent).encode() for sent in sents[first : first + PER_CALL]]
            await self._queries.enqueue([queue] * len(part), part, [0] * len(part))
        return not grouped

    async def left(self, queue: str) -> int:
        """Count the jobs that have not ended."""
        return sum(each.count for each in await self._queries.queue_size())

    async def clear(self, queue: str) -> None:
        """Delete all jobs, and what it keeps of those that ended."""
        await self._queries.clear_queue()
        await self._queries.clear_queue_log()

    @asynccontextmanager
    async def working(self, queue: str, note: Note, *, grouped: bool) -> AsyncIterator[None]:
        """Run its manager, in batches as large as others run jobs at a time."""
        from pgqueuer.core.qm import QueueManager

        manager = QueueManager(self._queries)

        @manager.entrypoint(queue)
        async def noop(job: Any) -> None:
            note(float(job.payload))

        running = asyncio.create_task(manager.run(batch_size=CONCURRENCY))
        try:
            yield
        finally:
            manager.shutdown.set()
            await running


SIDE = PgQueuer
