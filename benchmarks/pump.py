"""The loop of a good worker, without one: fetching, handling and finishing overlap."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

J = TypeVar("J")
# So many fetches and finishes may be under way, and so many batches be out, at once: while one
# batch is handled, the database works on the others.
AT_ONCE = 2
AHEAD = 5


class Pump(Generic[J]):
    """Works a queue off: one task per job, fetches and finishes under way meanwhile.

    A finish takes whatever has gathered since the last one, so that it keeps up by itself.
    """

    def __init__(
        self,
        fetch: Callable[[int], Awaitable[Sequence[J]]],
        handle: Callable[[J], Awaitable[object]],
        finish: Callable[[list[tuple[J, object]]], Awaitable[None]],
        batch: int,
    ) -> None:
        self._fetch, self._handle, self._finish, self._batch = fetch, handle, finish, batch
        self._running: set[asyncio.Task[None]] = set()
        self._done: list[tuple[J, object]] = []
        self._out = 0
        self._drained = False
        self._gathered = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Return when a fetch came back empty and everything handled is finished."""
        async with asyncio.TaskGroup() as group:
            finishers = [group.create_task(self._keep_finishing()) for _ in range(AT_ONCE)]
            async with asyncio.TaskGroup() as fetchers:
                for _ in range(AT_ONCE):
                    fetchers.create_task(self._keep_fetching())
            while self._out:
                await self._until_some_are_finished()
            for finisher in finishers:
                finisher.cancel()

    async def _keep_fetching(self) -> None:
        while not self._drained:
            if self._out >= self._batch * AHEAD:
                await self._until_some_are_finished()
                continue
            self._out += self._batch
            jobs = await self._fetch(self._batch)
            self._out -= self._batch - len(jobs)
            self._drained = not jobs
            for job in jobs:
                task = asyncio.create_task(self._run(job))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _run(self, job: J) -> None:
        self._done.append((job, await self._handle(job)))
        if len(self._done) == 1:
            self._gathered.set()

    async def _keep_finishing(self) -> None:
        while await self._gathered.wait():
            self._gathered.clear()
            while self._done:
                taken, self._done = self._done, []
                await self._finish(taken)
                self._out -= len(taken)
                self._room.set()

    async def _until_some_are_finished(self) -> None:
        self._room.clear()
        await self._room.wait()
