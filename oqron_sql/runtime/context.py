"""What a handler is given: one attempt at a job."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from oqron_sql.contract import Job, JobState
from oqron_sql.contract.checks import check_finite
from oqron_sql.contract.schedules import slot_of
from oqron_sql.errors import ConfigurationError, Interrupted

if TYPE_CHECKING:
    from oqron_sql.runtime.notes import Notebook

T = TypeVar("T")
R = TypeVar("R")


class Stop(enum.Enum):
    """Why an attempt is to end before it is done."""

    CANCELLED = "it was cancelled"
    TIMED_OUT = "its time is up"
    LEASE_LOST = "its lease is lost"
    CLOSING = "the worker closes"


class Context(Generic[T]):
    """One attempt at a job; `T` is the type of its payload, for whoever checks types.

    An `async def` is cancelled when the attempt is to stop. In a plain function, which runs in a
    thread, `Interrupted` is raised: at once in Python code, else when the call it is in returns.
    """

    __slots__ = ("_notebook", "job", "stop")

    def __init__(self, job: Job, notebook: Notebook) -> None:
        self.job = job
        self.stop: Stop | None = None
        """Why the attempt is to end, None while it may go on."""
        self._notebook = notebook

    def __repr__(self) -> str:
        return f"<attempt {self.attempt} at {self.job.name!r} {self.job.id}>"

    @property
    def id(self) -> str:
        """The job's id; the same in every attempt, so a key for making the work idempotent."""
        return self.job.id

    @property
    def name(self) -> str:
        """The job's name."""
        return self.job.name

    @property
    def data(self) -> T:
        """The job's payload."""
        payload: T = self.job.data
        return payload

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1; leases that were lost do not count."""
        return self.job.attempts_made + 1

    @property
    def slot(self) -> datetime | None:
        """When a schedule's job was due, however late it runs; None for other jobs."""
        return slot_of(self.job.id)

    def progress(self, value: float) -> None:
        """Note how far the work is, 0 to 100 by custom; written within a fraction of a second.

        Raises:
            InvalidInput: it is not a finite number.
        """
        self._notebook.note(self, float(check_finite("progress", value)))

    def log(self, line: str) -> None:
        """Add a line to the job's log; written in a fraction of a second, and before its end."""
        self._notebook.note(self, str(line))

    def check(self) -> None:
        """Do nothing, unless the attempt is to end; for threads, in the middle of long work.

        Raises:
            Interrupted: it is.
        """
        if self.stop is not None:
            raise Interrupted(self.stop.value)

    async def children(self) -> dict[str, Any]:
        """Return what the completed children returned, by their ids, oldest first.

        Children that were not to be kept are not among them.
        """
        jobs = await self._notebook.store.get_children_jobs(self.job.queue_name, self.job.id)
        return {job.id: job.returnvalue for job in jobs if job.state is JobState.COMPLETED}

    def run(self, call: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine in the worker's event loop and wait for it; from a thread alone.

        Raises:
            ConfigurationError: the handler is awaited; it can await the coroutine itself.
        """
        loop = self._notebook.loop
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not None:
            call.close()
            raise ConfigurationError("this handler is awaited: await the call itself")
        return asyncio.run_coroutine_threadsafe(call, loop).result()
