"""A worker at work: its parts, put together on one event loop, and taken apart again."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from oqron_sql.contract import (
    AsyncStore,
    Complete,
    EventType,
    Fail,
    JobState,
    Settled,
    StoreEvent,
    Waking,
)
from oqron_sql.runtime.announcing import Announcer
from oqron_sql.runtime.attempts import Attempt
from oqron_sql.runtime.backoff import Strategy
from oqron_sql.runtime.context import Context, Stop
from oqron_sql.runtime.fetching import Fetcher
from oqron_sql.runtime.finishing import End, Finisher
from oqron_sql.runtime.floor import Floor
from oqron_sql.runtime.handlers import Handlers
from oqron_sql.runtime.hearing import Hearing
from oqron_sql.runtime.heartbeat import Heartbeat
from oqron_sql.runtime.lookout import Lookout
from oqron_sql.runtime.notes import Notebook
from oqron_sql.runtime.persisting import on_failure, persist
from oqron_sql.runtime.plan import Plan

logger = logging.getLogger("oqron_sql")
completions = logging.getLogger("oqron_sql.jobs")
"""A line for each job that is completed, at the level INFO; failures are told by `logger`."""

STOPPING = 5.0
"""How many seconds handlers have to end when they are told to, before they are left alone."""
LOOK_AFTER = 0.02
"""How many seconds after a hint to look ahead: first comes what can be fetched at once."""


class Crew:
    """Fetcher, floor, finisher, lookout and heartbeat of one worker, from start to end.

    `failed` is called with what ends one of its loops before its time.
    """

    def __init__(
        self,
        store: AsyncStore,
        handlers: Handlers,
        strategies: Mapping[str, Strategy],
        plan: Plan,
        waking: Waking | None,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._store, self._plan, self._failed = store, plan, failed
        self._loop = asyncio.get_running_loop()
        self._hearing = Hearing(store, plan.queue, waking, heed=self._heed, woken=self._woken)
        self._announcer = Announcer(store, plan.queue, self._hearing.hear)
        tell = self._announcer.tell
        self._notebook = Notebook(store, plan.queue, lost=self._lose, tell=tell)
        self._finisher = Finisher(store, plan.queue, self._notebook, self._settled)
        self._floor = Floor(
            handlers,
            strategies,
            self._notebook,
            concurrency=plan.concurrency,
            report=self._finisher.report,
            tell=tell,
            listened=self._announcer.listened,
        )
        self._fetcher = Fetcher(store, plan, self._floor, largest=handlers.largest)
        self._lookout = Lookout(
            store,
            plan.queue,
            poll=plan.poll,
            max_lost=plan.max_lost,
            schedules=plan.schedules,
            wake=self._fetcher.news.set,
            came_short=lambda: self._fetcher.came_short,
            tell=tell,
        )
        self._heartbeat = Heartbeat(
            store, plan.queue, self._floor.held, plan.lease, self._floor.stop
        )
        self._looking: asyncio.TimerHandle | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._hurried = asyncio.Event()

    async def start(self) -> None:
        """Begin to work, or raise and leave nothing behind; waits for nothing unless it fails."""
        self._hearing.start()
        try:
            self._heartbeat.start()
        except BaseException:
            await self._hearing.close()
            raise
        fetcher, finisher = self._fetcher, self._finisher
        self._run("fetching", fetcher.step, lambda: fetcher.stopped)
        self._run("finishing", finisher.step, lambda: finisher.done)
        self._run("looking ahead", self._lookout.step, lambda: fetcher.stopped)
        if self._hearing.hints:
            listen = functools.partial(self._hearing.step, self._plan.poll)
            self._run("waiting to be woken", listen, lambda: fetcher.stopped)

    def hurry(self) -> None:
        """Let `close` wait no longer: handlers are stopped and their jobs handed back."""
        self._hurried.set()

    async def close(self, grace: float | None) -> None:
        """Fetch no more, let what runs end within `grace` seconds, hand back what has not begun."""
        floor = self._floor
        floor.stopped = True
        self._fetcher.stop()
        await self._end("fetching", self._plan.lease.total_seconds())
        floor.withdraw()
        if not await self._rested(grace):
            for attempt in list(floor.held):
                floor.stop(attempt, Stop.CLOSING)
            if not await self._rested(STOPPING, hurrying=False):
                running = self._plan.concurrency - floor.free
                logger.error("%d handlers will not end; their leases will run out", running)
        self._finisher.stop()
        await self._end("finishing", STOPPING if self._hurried.is_set() else 2 * STOPPING)
        for name in list(self._tasks):
            await self._end(name, 0)
        await self._heartbeat.close()
        await self._announcer.close()
        await self._hearing.close()
        if self._looking is not None:
            self._looking.cancel()
        floor.close()

    async def _rested(self, seconds: float | None, *, hurrying: bool = True) -> bool:
        """Wait until no handler runs; False if it takes too long, or somebody is in a hurry."""
        resting = self._loop.create_task(self._floor.rest())
        hurried = self._loop.create_task(self._hurried.wait())
        awaited = {resting, hurried} if hurrying else {resting}
        await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in (resting, hurried):
            task.cancel()
        await asyncio.wait({resting, hurried})
        return not resting.cancelled()

    def _run(self, name: str, step: Callable[[], Any], done: Callable[[], bool]) -> None:
        task = self._tasks[name] = self._loop.create_task(persist(name, step, done))
        task.add_done_callback(functools.partial(on_failure, self._failed))

    async def _end(self, name: str, seconds: float) -> None:
        """Wait so long for a loop to end by itself, then end it."""
        task = self._tasks.pop(name)
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})

    # -- what is heard -------------------------------------------------------------------------

    def _heed(self, event: StoreEvent) -> None:
        if event.type in (EventType.JOB_WAITING, EventType.QUEUE_RESUMED):
            self._fetcher.news.set()
        elif event.type in (EventType.JOB_DELAYED, EventType.QUEUE_SCHEDULED):
            self._lookout.soon.set()
        elif event.type is EventType.JOB_CANCELLED:
            for attempt in list(self._floor.held):
                if attempt.job.id == event.job_id:
                    self._floor.stop(attempt, Stop.CANCELLED)

    def _woken(self) -> None:
        self._fetcher.news.set()
        if self._looking is None:
            self._looking = self._loop.call_later(LOOK_AFTER, self._look_soon)

    def _look_soon(self) -> None:
        """Look ahead after a hint, which may be of a job that is due earlier than any other."""
        self._looking = None
        self._lookout.soon.set()

    # -- what is recorded ----------------------------------------------------------------------

    def _lose(self, context: Context[Any]) -> None:
        self._floor.stop(cast("Attempt", context), Stop.LEASE_LOST)

    def _settled(self, ends: Sequence[End], settled: Sequence[Settled]) -> None:
        """Let go of jobs whose end is recorded, and see to what follows from it."""
        loud, told = self._announcer.listened(), completions.isEnabledFor(logging.INFO)
        for (attempt, outcome), result in zip(ends, settled, strict=True):
            self._floor.held.discard(attempt)
            if result.state is None:
                logger.warning("%r had lost its lease; its outcome was not recorded", attempt)
                continue
            if result.state is JobState.WAITING:
                self._fetcher.news.set()
            elif result.state is JobState.DELAYED:
                self._lookout.soon.set()
            elif attempt.job.parent_id is not None and attempt.job.parent_queue_name is not None:
                self._announcer.look_at(attempt.job.parent_queue_name, attempt.job.parent_id)
            if told and result.state is JobState.COMPLETED:
                completions.info("%r completed", attempt, extra=attempt.facts)
            if loud:
                self._announce(attempt, outcome, result.state)
        if self._fetcher.bounded and (self._fetcher.came_short or self._fetcher.asking):
            self._fetcher.news.set()  # what held jobs back may have been these
        self._floor.room.set()

    def _announce(self, attempt: Attempt, outcome: Any, state: JobState) -> None:
        data = None
        if isinstance(outcome, Complete):
            data = outcome.returnvalue
        elif isinstance(outcome, Fail):
            data = outcome.reason
        self._announcer.tell(_KINDS[state], attempt.job.id, data)


_KINDS = {
    JobState.WAITING: EventType.JOB_WAITING,
    JobState.DELAYED: EventType.JOB_DELAYED,
    JobState.COMPLETED: EventType.JOB_COMPLETED,
    JobState.FAILED: EventType.JOB_FAILED,
}
