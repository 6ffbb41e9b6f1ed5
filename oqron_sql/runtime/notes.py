"""Progress and log lines of running jobs, gathered and written in the background."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from oqron_sql.contract import AsyncStore, EventType
from oqron_sql.errors import JobNotFound, LeaseLost
from oqron_sql.runtime.context import Context
from oqron_sql.runtime.persisting import warn_of

PAUSE = 0.2
Tell = Callable[[EventType, str, Any], None]


class Notebook:
    """Keeps what handlers note, from whatever thread, until it is written.

    `lost` is called with an attempt whose lease turns out to be lost, `tell` with what to publish.
    """

    def __init__(
        self,
        store: AsyncStore,
        queue: str,
        *,
        lost: Callable[[Context[Any]], None],
        tell: Tell,
    ) -> None:
        self.store, self.loop = store, asyncio.get_running_loop()
        self._queue, self._lost, self._tell = queue, lost, tell
        self._notes: deque[tuple[Context[Any], str | float]] = deque()
        self._due = False
        self._turn = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None

    def note(self, context: Context[Any], note: str | float) -> None:
        """Keep a line of the log, or a progress, of one attempt."""
        self._notes.append((context, note))
        if not self._due:
            self._due = True
            self.loop.call_soon_threadsafe(self.loop.call_later, PAUSE, self._start_writing)

    async def write(self) -> None:
        """Write what was noted until now; what cannot be written is logged and dropped."""
        while self._notes:
            async with self._turn:
                taken = [self._notes.popleft() for _ in range(len(self._notes))]
                for context, notes in _by_attempt(taken).items():
                    await self._write_one(context, notes)

    def _start_writing(self) -> None:
        self._due = False
        self._writing = self.loop.create_task(self.write())

    async def _write_one(self, context: Context[Any], notes: list[str | float]) -> None:
        job = context.job
        lines = [note for note in notes if isinstance(note, str)]
        progress = [note for note in notes if not isinstance(note, str)]
        try:
            if lines:
                await self.store.append_logs(self._queue, job.id, lines, lease=job.lease)
            if progress:
                update = self.store.update_job
                await update(self._queue, job.id, {"progress": progress[-1]}, lease=job.lease)
                self._tell(EventType.JOB_PROGRESS, job.id, progress[-1])
        except (LeaseLost, JobNotFound):
            self._lost(context)
        except Exception as error:  # noqa: BLE001 - it is logged; the job's end matters more
            warn_of(error, "notes of job %s could not be written", job.id)


def _by_attempt(
    notes: list[tuple[Context[Any], str | float]],
) -> dict[Context[Any], list[str | float]]:
    found: dict[Context[Any], list[str | float]] = {}
    for context, note in notes:
        found.setdefault(context, []).append(note)
    return found
