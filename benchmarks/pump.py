"""The loop of a good worker, without one: fetching, handling and finishing overlap."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

J = TypeVar("J")
# How many batches may be out at once: one handled, one being finished, one being fetched.
AHEAD = 3


class Pump(Generic[J]):
    """Works a queue off: one task per job, one fetch and one finish under way at any time.

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
        self._gathered = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Return when a fetch came back empty and everything handled is finished."""
        finisher = asyncio.create_task(self._finish_gathered())
        while jobs := await self._fetch(self._batch):
            self._out += len(jobs)
            for job in jobs:
                task = asyncio.create_task(self._run(job))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            await self._until(self._batch * (AHEAD - 1), finisher)
        await self._until(0, finisher)
        finisher.cancel()

    async def _run(self, job: J) -> None:
        self._done.append((job, await self._handle(job)))
        if len(self._done) == 1:
            self._gathered.set()

    async def _until(self, out: int, finisher: asyncio.Task[None]) -> None:
        while self._out > out:
            if finisher.done():
                await finisher
            self._room.clear()
            await self._room.wait()

    async def _finish_gathered(self) -> None:
        try:
            while await self._gathered.wait():
                self._gathered.clear()
                while self._done:
                    taken, self._done = self._done, []
                    await self._finish(taken)
                    self._out -= len(taken)
                    self._room.set()
        finally:
            self._room.set()
