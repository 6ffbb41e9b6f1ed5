"""Telling others in this process what happens to jobs; nothing is made for nobody."""

from __future__ import annotations

import asyncio
from typing import Any

from oqron_sql.contract import AsyncStore, EventType, JobState, StoreEvent
from oqron_sql.contract.events import Callback
from oqron_sql.runtime.telling import tell


class Announcer:
    """Publishes events in their order, in the background, if anybody `besides` one listens."""

    def __init__(self, store: AsyncStore, queue: str, besides: Callback) -> None:
        self._store, self._queue, self._besides = store, queue, besides
        self._loop = asyncio.get_running_loop()
        self._events: list[StoreEvent] = []
        self._parents: set[tuple[str, str]] = set()
        self._task: asyncio.Task[None] | None = None

    def listened(self) -> bool:
        """Whether anybody listens to the worker's queue."""
        return self._store.has_subscribers(self._queue, besides=self._besides)

    def tell(self, kind: EventType, job_id: str, data: Any = None) -> None:
        """Tell something of a job of the worker's queue."""
        if self.listened():
            self._events.append(
                StoreEvent(type=kind, queue_name=self._queue, job_id=job_id, data=data)
            )
            self._start()

    def look_at(self, queue: str, job_id: str) -> None:
        """Tell that a parent waits, if it does: its last child may just have ended."""
        if self._store.has_subscribers(queue):
            self._parents.add((queue, job_id))
            self._start()

    async def close(self) -> None:
        """Wait until everything is told."""
        while self._task is not None:
            await self._task

    def _start(self) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            while self._events or self._parents:
                events, self._events = self._events, []
                await tell(self._store, events)
                while self._parents:
                    await self._tell_of(*self._parents.pop())
        finally:
            self._task = None

    async def _tell_of(self, queue: str, job_id: str) -> None:
        try:
            parent = await self._store.get_job(queue, job_id)
        except Exception:  # noqa: BLE001 - a hint that is not given costs a little time
            return
        if parent is not None and parent.state is JobState.WAITING:
            event = StoreEvent(type=EventType.JOB_WAITING, queue_name=queue, job_id=job_id)
            await tell(self._store, [event])
