"""What most tests of the runtime do: a worker that is quick to look, and waiting for conditions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql import AsyncStore, Context, Queue, Worker
from oqron_sql.contract import Job, JobState, Outlook

QUEUE = "mail"
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
PATIENCE = 10.0


def queue_of(store: AsyncStore, name: str = QUEUE) -> Queue:
    return Queue(name, store)


def worker_of(store: Any, queue: str = QUEUE, **options: Any) -> Worker:
    """Return a worker that looks often, so that no test has to wait for it."""
    return Worker(queue, store, **{"poll": 0.05, **options})


async def until(condition: Callable[[], object | Awaitable[object]]) -> Any:
    """Wait until `condition`, plain or awaited, is true; return what it came to."""
    end = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.005)


async def ended(store: AsyncStore, job_id: str, queue: str = QUEUE) -> Job:
    """Wait until a job has ended, and return it."""

    async def look() -> Job | None:
        job = await store.get_job(queue, job_id)
        assert job is not None, "the job is gone"
        return job if job.state in (JobState.COMPLETED, JobState.FAILED) else None

    job: Job = await until(look)
    return job


async def in_state(store: AsyncStore, job_id: str, state: JobState, queue: str = QUEUE) -> Job:
    """Wait until a job is in `state`, and return it."""

    async def look() -> Job | None:
        job = await store.get_job(queue, job_id)
        return job if job is not None and job.state is state else None

    job: Job = await until(look)
    return job


async def until_counted(store: AsyncStore, completed: int) -> None:
    """Wait until so many are completed and none waits."""

    async def counted() -> bool:
        counts = await store.get_job_counts(QUEUE)
        return counts[JobState.COMPLETED] == completed and not counts[JobState.WAITING]

    await until(counted)


class Gate:
    """A handler that waits until it is let go, and says who is in it."""

    def __init__(self) -> None:
        self.inside: list[Context[Any]] = []
        self.most = 0
        self.stopped: list[str] = []
        self._open = asyncio.Event()

    async def __call__(self, context: Context[Any]) -> Any:
        self.inside.append(context)
        self.most = max(self.most, len(self.inside))
        try:
            await self._open.wait()
        except asyncio.CancelledError:
            self.stopped.append(context.id)
            raise
        finally:
            self.inside.remove(context)
        return context.data

    def open(self) -> None:
        self._open.set()

    async def entered(self, n: int = 1) -> None:
        """Wait until so many are inside."""
        await until(lambda: len(self.inside) >= n)


class Looks:
    """When somebody last looked ahead, and that nobody is about to."""

    def __init__(self, store: AsyncStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self._look, self._last, self._n = store.get_outlook, time.monotonic(), 0
        monkeypatch.setattr(store, "get_outlook", self)

    async def __call__(self, queue: str) -> Outlook:
        found = await self._look(queue)
        self._last, self._n = time.monotonic(), self._n + 1
        return found

    async def rest(self) -> None:
        """Wait until nobody has looked for longer than it takes from a hint to a look."""
        self._last = time.monotonic()
        await until(lambda: time.monotonic() - self._last > 0.1)

    async def again(self) -> None:
        """Wait until what a look leads to has been done, and somebody looks once more."""
        enough = self._n + 2
        await until(lambda: self._n >= enough)


@contextlib.asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[Worker]:
    """Let a worker work for a while, and hurry it in the end."""
    await worker.start()
    try:
        yield worker
    finally:
        worker.hurry()
        await worker.close()
