"""The worker and the queue of this package."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from oqron_sql import AsyncSQLStore, Context, JobOptions, JobState, Queue, Worker, migrate
from oqron_sql.bench.side import CONCURRENCY, GROUPS, PER_CALL, Note
from oqron_sql.contract import FetchOptions, Group

GROUPED = [JobOptions(group=Group(id=f"group {number}")) for number in range(GROUPS)]
IN_TURN = FetchOptions(group_concurrency=CONCURRENCY)


class Ours:
    """A store under a prefix of its own."""

    def __init__(self, url: str, name: str) -> None:
        self.prefix = f"{name}_"
        self.store = AsyncSQLStore(url, prefix=self.prefix)

    async def open(self) -> None:
        """Connect."""
        await self.store.connect()

    async def close(self) -> None:
        """Disconnect."""
        await self.store.disconnect()

    async def install(self) -> None:
        """Make the tables, which connecting does."""
        await self.store.connect()

    async def remove(self) -> None:
        """Drop the tables."""
        await self.store.connect()
        await self.store.run(lambda tx: migrate.downgrade(tx.conn, prefix=self.prefix))

    async def add(self, queue: str, sent: float) -> None:
        """Add one job."""
        await Queue(queue, self.store).add("noop", sent)

    async def add_bulk(self, queue: str, sents: list[float], *, grouped: bool) -> bool:
        """Add many jobs, a thousand in a call."""
        for first in range(0, len(sents), PER_CALL):
            part = sents[first : first + PER_CALL]
            if grouped:
                await Queue(queue, self.store).add_bulk(
                    [("noop", sent, GROUPED[i % GROUPS]) for i, sent in enumerate(part)]
                )
            else:
                await Queue(queue, self.store).add_bulk([("noop", sent) for sent in part])
        return True

    async def left(self, queue: str) -> int:
        """Count the jobs that have not ended."""
        counts = await Queue(queue, self.store).counts()
        return counts[JobState.WAITING] + counts[JobState.ACTIVE]

    async def clear(self, queue: str) -> None:
        """Delete the queue."""
        await Queue(queue, self.store).obliterate(force=True)

    @asynccontextmanager
    async def working(self, queue: str, note: Note, *, grouped: bool) -> AsyncIterator[None]:
        """Work as the worker does."""
        limits = IN_TURN if grouped else FetchOptions()
        worker = Worker(queue, self.store, concurrency=CONCURRENCY, limits=limits)

        @worker.handler("noop")
        async def noop(context: Context[float]) -> None:
            note(context.data)

        async with worker:
            yield


SIDE = Ours
