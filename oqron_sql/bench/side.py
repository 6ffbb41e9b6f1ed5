"""What somebody has to be able to do to be measured."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

CONCURRENCY = 100
"""How many jobs a worker runs at a time, whoever's it is."""
GROUPS = 100
PER_CALL = 1000
Note = Callable[[float], None]
"""Called when a job begins, with the instant at which it was added."""


class Side(Protocol):
    """One queue, on one database, under a name that nothing else there has.

    A job carries the instant at which it was added, of the clock that all processes share.
    """

    async def open(self) -> None:
        """Connect to tables that are there."""

    async def close(self) -> None:
        """Disconnect."""

    async def install(self) -> None:
        """Make the tables."""

    async def remove(self) -> None:
        """Delete the tables and whatever else was made, as far as it is there."""

    async def add(self, queue: str, sent: float) -> None:
        """Add one job."""

    async def add_bulk(self, queue: str, sents: list[float], *, grouped: bool) -> bool:
        """Add many jobs, in groups if need be; tell whether there is a way to do so at once."""

    async def left(self, queue: str) -> int:
        """Count the jobs that have not ended."""

    async def clear(self, queue: str) -> None:
        """Delete all jobs."""

    def working(
        self, queue: str, note: Note, *, grouped: bool
    ) -> AbstractAsyncContextManager[None]:
        """Run jobs that do nothing but `note`, within the context."""


async def shared_out(calls: int, callers: int, call: Callable[[], Awaitable[object]]) -> None:
    """Make so many calls, by so many callers at once."""
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(caller() for _ in range(callers)))
