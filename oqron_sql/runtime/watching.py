"""Waiting for a job: events make it quick, looking makes it right.

Whoever waits listens first, then looks, then looks again, ever more rarely: a job that ended a
moment before is seen, and so is one whose event never came. Events are those of this process; a
store that can hint at what other processes do makes that as quick.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import aclosing, closing, contextmanager, suppress
from typing import Any

from oqron_sql.contract import AsyncStore, EventType, Job, JobState, Store, StoreEvent
from oqron_sql.contract.abilities import Hinting
from oqron_sql.contract.model import FINISHED
from oqron_sql.errors import JobFailed, JobNotFound

logger = logging.getLogger("oqron_sql")

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 1.0
LAST_PAUSE = 0.1
"""How many seconds the news of an end may take that removed the job."""
ASK_AFTER = 0.03
"""How many seconds to wait until other processes are asked, where one that may do it is near."""
ASK_EVERY = 10.0
_ENDS = (EventType.JOB_COMPLETED, EventType.JOB_FAILED)


class Watch:
    """What was heard of one job, how long to wait for more, and what it came to."""

    def __init__(self, queue: str, job_id: str, timeout: float | None = None) -> None:
        self.queue, self.job_id = queue, job_id
        self.wake: Callable[[], object] = lambda: None
        self.pause = FIRST_PAUSE
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._ask_at = 0.0
        self._heard: StoreEvent | None = None  # its latest end
        self._before: StoreEvent | None = None  # what was heard when it was last looked for
        self._undone: StoreEvent | None = None  # an end after which it was seen alive: retried
        self._missed = 0

    def hear(self, event: StoreEvent) -> None:
        """Take note of an event, in whatever thread it is told."""
        if event.job_id == self.job_id:
            if event.type in _ENDS:
                self._heard = event
            self.wake()

    def look(self) -> None:
        """Begin to look: what is seen is later than all that was heard."""
        self._before = self._heard

    def ask_later(self) -> None:
        """Ask other processes for hints only if the job takes its time."""
        self._ask_at = time.monotonic() + ASK_AFTER

    def must_ask(self) -> bool:
        """Whether to ask other processes for hints, now and not again for a while."""
        now = time.monotonic()
        if now < self._ask_at:
            return False
        self._ask_at = now + ASK_EVERY
        return True

    def next_pause(self) -> float:
        """Return for how many seconds to wait for an event before looking again.

        Raises:
            TimeoutError: the time is up.
        """
        pause, self.pause = self.pause, min(self.pause * 2, LONGEST_PAUSE)
        if self._deadline is None:
            return pause
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(
                f"job {self.job_id!r} of queue {self.queue!r} did not end within {self._timeout} s"
            )
        return min(pause, left)

    def settles(self, job: Job | None) -> bool:
        """Whether no more is to be learned than what was seen; that it is gone is seen twice."""
        if job is not None:
            if job.state not in FINISHED:
                self._undone = self._before
            return job.state in FINISHED
        self._missed += 1
        self.pause = LAST_PAUSE
        return self._end is not None or self._missed > 1

    @property
    def _end(self) -> StoreEvent | None:
        return None if self._heard is self._undone else self._heard

    def result(self, job: Job | None) -> Any:
        """Return what the job came to; None may be one that was not to be kept.

        Raises:
            JobFailed: it failed.
            JobNotFound: it is gone, and nothing was heard of its end.
        """
        if job is not None:
            if job.state is JobState.COMPLETED:
                return job.returnvalue
            raise JobFailed(self.queue, self.job_id, job.failed_reason or "")
        end = self._end
        if end is None:
            raise JobNotFound(self.queue, self.job_id)
        if end.type is EventType.JOB_COMPLETED:
            return end.data
        raise JobFailed(self.queue, self.job_id, str(end.data))


async def result_of(store: AsyncStore, queue: str, job_id: str, timeout: float | None) -> Any:
    """Wait for a job to end and return what it returned.

    Raises:
        JobFailed: it failed.
        JobNotFound: there is no such job, or not any more.
        TimeoutError: it did not end within `timeout` seconds.
    """
    watch = Watch(queue, job_id, timeout)
    async with aclosing(_looks(store, watch)) as looks:
        async for job in looks:
            if watch.settles(job):
                return watch.result(job)
    raise AssertionError("unreachable")


async def changes_of(store: AsyncStore, queue: str, job_id: str) -> AsyncGenerator[Job, None]:
    """Yield the job as it is, and again whenever it has changed, until it has ended or is gone."""
    watch, seen = Watch(queue, job_id), None
    async with aclosing(_looks(store, watch)) as looks:
        async for job in looks:
            if job is None:
                return
            if job != seen:
                seen, watch.pause = job, FIRST_PAUSE
                yield job
            if job.state in FINISHED:
                return


def blocking_result_of(store: Store, queue: str, job_id: str, timeout: float | None) -> Any:
    """Do what `result_of` does, blocking."""
    watch = Watch(queue, job_id, timeout)
    with closing(_blocking_looks(store, watch)) as looks:
        for job in looks:
            if watch.settles(job):
                return watch.result(job)
    raise AssertionError("unreachable")


def blocking_changes_of(store: Store, queue: str, job_id: str) -> Generator[Job, None, None]:
    """Do what `changes_of` does, blocking."""
    watch, seen = Watch(queue, job_id), None
    with closing(_blocking_looks(store, watch)) as looks:
        for job in looks:
            if job is None:
                return
            if job != seen:
                seen, watch.pause = job, FIRST_PAUSE
                yield job
            if job.state in FINISHED:
                return


async def _looks(store: AsyncStore, watch: Watch) -> AsyncGenerator[Job | None, None]:
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(news.set)

    watch.wake = wake
    with _listening(store, watch) as hinting:
        while True:
            news.clear()
            watch.look()
            yield await store.get_job(watch.queue, watch.job_id)
            pause = watch.next_pause()
            if hinting is not None and watch.must_ask():
                try:
                    await hinting.ask_for_hints(watch.queue, watch.job_id)
                except Exception:
                    logger.info("could not ask for hints at %s", watch.job_id, exc_info=True)
            await wait_for(news, pause)


def _blocking_looks(store: Store, watch: Watch) -> Generator[Job | None, None, None]:
    news = threading.Event()
    watch.wake = news.set
    with _listening(store, watch) as hinting:
        while True:
            news.clear()
            watch.look()
            yield store.get_job(watch.queue, watch.job_id)
            pause = watch.next_pause()
            if hinting is not None and watch.must_ask():
                try:
                    hinting.ask_for_hints(watch.queue, watch.job_id)
                except Exception:
                    logger.info("could not ask for hints at %s", watch.job_id, exc_info=True)
            news.wait(pause)


@contextmanager
def _listening(store: AsyncStore | Store, watch: Watch) -> Iterator[Hinting | None]:
    """Let a watch hear events and hints until the end of the block; give what can be asked."""
    if store.has_subscribers(watch.queue):
        watch.ask_later()  # a worker, most likely
    store.subscribe(watch.queue, watch.hear)
    try:
        if isinstance(store, Hinting):
            with store.hints(watch.queue, watch.job_id, lambda: watch.wake()):
                yield store
        else:
            yield None
    finally:
        store.unsubscribe(watch.queue, watch.hear)


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, but no longer; tell whether it is."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
