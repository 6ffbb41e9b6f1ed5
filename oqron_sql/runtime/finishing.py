"""Recording what attempts came to: many at once, one statement under way at any time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from oqron_sql.contract import AsyncStore, Fail, Outcome, Settled
from oqron_sql.errors import StoreClosed, StoreUnavailable
from oqron_sql.runtime.attempts import Attempt
from oqron_sql.runtime.notes import Notebook

logger = logging.getLogger("oqron_sql")

TIMEOUT = 30.0
MOST = 250
"""How many ends one statement records: of more, PostgreSQL may think that it is most of a table."""
AWAY = (StoreUnavailable, StoreClosed, TimeoutError)
"""What is about the store, and not about what is recorded."""
End = tuple[Attempt, Outcome]


class Finisher:
    """Takes what has gathered while the last statement was under way, and so keeps up by itself.

    `settled` is called with ends that were recorded, and with what became of each.
    """

    def __init__(
        self,
        store: AsyncStore,
        queue: str,
        notebook: Notebook,
        settled: Callable[[Sequence[End], Sequence[Settled]], None],
    ) -> None:
        self.stopped = False
        self._store, self._queue, self._notebook, self._settled = store, queue, notebook, settled
        self._ends: list[End] = []
        self._gathered = asyncio.Event()

    @property
    def done(self) -> bool:
        """Whether it was stopped, and everything that was reported is recorded."""
        return self.stopped and not self._ends

    def report(self, attempt: Attempt, outcome: Outcome) -> None:
        """Record what an attempt came to, soon."""
        self._ends.append((attempt, outcome))
        if len(self._ends) == 1:
            self._gathered.set()

    def stop(self) -> None:
        """End once everything is recorded."""
        self.stopped = True
        self._gathered.set()

    async def step(self) -> None:
        """Record what has gathered, as soon as there is something."""
        await self._gathered.wait()
        self._gathered.clear()
        ends, self._ends = self._ends[:MOST], self._ends[MOST:]
        if not ends:
            return
        if self._ends:
            self._gathered.set()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._notebook.write()
            await self._record(ends)
        except AWAY:
            # To say all of it again is safe: the leases tell what was recorded.
            self._ends[:0] = ends
            self._gathered.set()
            raise

    async def _record(self, ends: Sequence[End]) -> None:
        try:
            settled = await self._finish(ends)
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - it is recorded, or logged
            if len(ends) == 1:
                await self._record_refused(*ends[0], error)
                return
            for end in ends:  # one that cannot be recorded must not keep the others from it
                await self._record([end])
        else:
            self._settled(ends, settled)

    async def _record_refused(self, attempt: Attempt, outcome: Outcome, error: Exception) -> None:
        """Let a job fail whose outcome was refused, most likely for what it returned."""
        logger.error("the outcome of %r was refused: %s", attempt, error)
        end = (attempt, Fail(attempt.job, f"its outcome was refused: {error}"))
        try:
            settled = await self._finish([end])
        except AWAY:
            raise
        except Exception:
            logger.exception("the end of %r cannot be recorded; its lease will run out", attempt)
            settled = [Settled(attempt.job.id, attempt.job.lease, None)]
        self._settled([end], settled)

    async def _finish(self, ends: Sequence[End]) -> Sequence[Settled]:
        async with asyncio.timeout(TIMEOUT):
            return await self._store.finish_jobs(self._queue, [outcome for _, outcome in ends])
