"""The jobs a worker has: those that are ready, and those that run."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from oqron_sql.contract import Complete, EventType, Fail, Job, Outcome, Release, Retry
from oqron_sql.runtime.attempts import Attempt, outcome_of
from oqron_sql.runtime.backoff import Strategy
from oqron_sql.runtime.context import Stop
from oqron_sql.runtime.deadlines import Deadlines
from oqron_sql.runtime.handlers import Handlers, NoHandler
from oqron_sql.runtime.notes import Notebook, Tell
from oqron_sql.runtime.threads import ThreadCall, Threads

logger = logging.getLogger("oqron_sql")

PATIENCE = 1.0
"""How many seconds a job may be ready before it is handed back for others to run."""
Report = Callable[[Attempt, Outcome], None]


class Floor:
    """Starts jobs as slots get free, stops them when they have to, and reports what they came to.

    One task or thread per running job, or batch, and no other cost: a job that ends starts the next
    one itself. Everything happens in the event loop, except what is said otherwise.
    """

    def __init__(
        self,
        handlers: Handlers,
        strategies: Mapping[str, Strategy],
        notebook: Notebook,
        *,
        concurrency: int,
        report: Report,
        tell: Tell,
        listened: Callable[[], bool],
    ) -> None:
        self.held: set[Attempt] = set()
        """Every attempt until its end is recorded: whose leases are to be kept."""
        self.ready: deque[Attempt] = deque()
        self.ended = 0
        """How many attempts have ended, ever."""
        self.room = asyncio.Event()
        """Set when a job has ended and `few` or fewer are ready to follow."""
        self.few = 0
        self.slow = False
        """Set when jobs had to be handed back; whoever leases ahead takes it for a warning."""
        self.per_call = 1.0
        """How many jobs one call of a handler may take, on the average of those that came last."""
        self.stopped = False
        """Whether no more jobs are to begin."""
        self._concurrency = self._free = concurrency
        self._handlers, self._strategies, self._notebook = handlers, strategies, notebook
        self._nobody = handlers.nobody()
        self._report, self._tell, self._listened = report, tell, listened
        self._loud = False
        self._loop = asyncio.get_running_loop()
        self._threads = Threads(concurrency)
        self._shedding: asyncio.TimerHandle | None = None
        self._deadlines: Deadlines[Attempt] = Deadlines(partial(self.stop, reason=Stop.TIMED_OUT))

    @property
    def free(self) -> int:
        """How many more calls of handlers may run."""
        return self._free

    def admit(self, jobs: Sequence[Job], asked_at: float, lease: float) -> None:
        """Run `jobs` as slots get free; `lease` seconds were asked for at `asked_at`."""
        sizes = 0
        for job in jobs:
            entry = self._handlers.find(job.name) or self._nobody
            attempt = Attempt(job, self._notebook, entry, asked_at, lease)
            self.held.add(attempt)
            self.ready.append(attempt)
            sizes += attempt.entry.size or 1
        if jobs:
            self.per_call = sizes / len(jobs)
        self._loud = self._listened()
        self._fill()
        if self.ready and self._shedding is None:
            self._shedding = self._loop.call_later(PATIENCE, self._shed)

    def withdraw(self) -> None:
        """Release every job that has not begun."""
        while self.ready:
            attempt = self.ready.popleft()
            self._report(attempt, Release(attempt.job))

    def _shed(self) -> None:
        """Release what has been ready for long: handlers have become slow, others may be idle."""
        self._shedding = None
        late = time.monotonic() - PATIENCE
        while self.ready and self.ready[0].asked_at <= late:
            attempt = self.ready.popleft()
            self._report(attempt, Release(attempt.job))
            self.slow = True
        if self.ready:
            self._shedding = self._loop.call_later(PATIENCE, self._shed)

    def stop(self, attempt: Attempt, reason: Stop) -> None:
        """Let an attempt end, whether it is ready or runs; from any thread.

        One that was told to end is left to clean up; only a lost lease, or the worker's own end,
        comes before that.
        """
        if attempt.stop is reason or (attempt.stop and reason in (Stop.CANCELLED, Stop.TIMED_OUT)):
            return
        group = attempt.group if reason is Stop.TIMED_OUT else (attempt,)
        for each in group or (attempt,):
            if each.stop is None or reason is Stop.LEASE_LOST:
                each.stop = reason
        running = attempt.running
        if running is None or any(each.stop is None for each in attempt.group):
            return  # its turn has not come, or the rest of its batch goes on
        if isinstance(running, ThreadCall):
            running.interrupt()
        else:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._cancel, attempt)

    async def rest(self) -> None:
        """Wait until nothing runs; what is ready has to be withdrawn before."""
        while self._free < self._concurrency:
            self.room.clear()
            await self.room.wait()

    def close(self) -> None:
        """Let go of threads and timers; what still runs is on its own."""
        if self._shedding is not None:
            self._shedding.cancel()
        self._threads.close()
        self._deadlines.close()

    def _fill(self) -> None:
        while self._free and self.ready and not self.stopped:
            attempt = self.ready.popleft()
            if attempt.stop is not None:
                self._conclude(attempt, self._judge(attempt, asyncio.CancelledError()))
            elif attempt.entry.size > 1:
                self._start((attempt, *self._companions(attempt, attempt.entry.size - 1)))
            else:
                self._start((attempt,))

    def _companions(self, first: Attempt, most: int) -> list[Attempt]:
        """Take more ready jobs for the same handler, in their order."""
        taken: list[Attempt] = []
        kept: deque[Attempt] = deque()
        while self.ready and len(taken) < most:
            attempt = self.ready.popleft()
            mine = attempt.entry is first.entry and attempt.stop is None
            (taken if mine else kept).append(attempt)
        self.ready.extendleft(reversed(kept))
        return taken

    def _start(self, group: tuple[Attempt, ...]) -> None:
        self._free -= 1
        entry = group[0].entry
        running: asyncio.Task[None] | ThreadCall
        if entry.awaited:
            running = self._loop.create_task(self._run(group))
        else:
            call = partial(entry.call, group if entry.size else group[0])
            running = ThreadCall(call, partial(self._hand_over, group))
        for attempt in group:
            attempt.group, attempt.running = group, running
            timeout = attempt.job.opts.timeout
            if timeout is not None:
                attempt.deadline = self._deadlines.set(attempt, timeout.total_seconds())
            if self._loud:
                self._tell(EventType.JOB_ACTIVE, attempt.job.id, None)
        if isinstance(running, ThreadCall):
            self._threads.submit(running)

    async def _run(self, group: tuple[Attempt, ...], made: Awaitable[Any] | None = None) -> None:
        entry = group[0].entry
        try:
            if group[0].stop is not None and all(each.stop for each in group):
                raise asyncio.CancelledError
            if made is None:
                made = entry.call(group if entry.size else group[0])
            value = await made
        except KeyboardInterrupt:  # which is about the loop, not about the job
            raise
        except BaseException as error:
            if isinstance(error, GeneratorExit) and not self._loop.is_running():
                raise  # the task is thrown away, and nobody is left to record anything
            self._end(group, [self._judge(attempt, error) for attempt in group])
        else:
            self._end(group, self._results(group, value))

    def _hand_over(
        self, group: tuple[Attempt, ...], value: Any, error: BaseException | None
    ) -> None:
        """Bring what a call came to from its thread into the event loop."""
        with suppress(RuntimeError):  # the worker has closed and waits no more
            self._loop.call_soon_threadsafe(self._take_over, group, value, error)

    def _take_over(
        self, group: tuple[Attempt, ...], value: Any, error: BaseException | None
    ) -> None:
        if error is not None:
            self._end(group, [self._judge(attempt, error) for attempt in group])
        elif inspect.isawaitable(value):  # a plain function that returns a coroutine
            running = self._loop.create_task(self._run(group, value))
            for attempt in group:
                attempt.running = running
        else:
            self._end(group, self._results(group, value))

    def _results(self, group: tuple[Attempt, ...], value: Any) -> Sequence[Outcome | None]:
        entry = group[0].entry
        if not entry.size:
            return (Complete(group[0].job, value),)
        results = [None] * len(group) if value is None else value
        if not isinstance(results, Sequence) or len(results) != len(group):
            error = TypeError(f"a batch of {len(group)} jobs needs as many results, or None")
            return [self._judge(attempt, error) for attempt in group]
        return [
            self._judge(attempt, result)
            if isinstance(result, BaseException)
            else Complete(attempt.job, result)
            for attempt, result in zip(group, results, strict=True)
        ]

    def _end(self, group: tuple[Attempt, ...], outcomes: Sequence[Outcome | None]) -> None:
        for attempt, outcome in zip(group, outcomes, strict=True):
            attempt.group, attempt.running = (), None
            if attempt.deadline is not None:
                self._deadlines.clear(attempt, attempt.deadline)
            self._conclude(attempt, outcome)
        self._free += 1
        if self.ready:
            self._fill()
        if len(self.ready) <= self.few:
            self.room.set()

    def _conclude(self, attempt: Attempt, outcome: Outcome | None) -> None:
        self.ended += 1
        if outcome is None:
            self.held.discard(attempt)
        else:
            self._report(attempt, outcome)

    def _judge(self, attempt: Attempt, error: BaseException) -> Outcome | None:
        outcome = outcome_of(attempt, error, self._strategies)
        facts = attempt.facts
        if attempt.stop is not None:
            logger.warning("%r was stopped: %s", attempt, attempt.stop.value, extra=facts)
        elif isinstance(outcome, Retry):
            reason, delay = outcome.reason, outcome.delay
            logger.warning("%r failed, %s; next in %s", attempt, reason, delay, extra=facts)
        elif isinstance(outcome, Fail):
            reason = outcome.reason
            told = None if isinstance(error, NoHandler) else error  # whose traceback is all ours
            logger.error("%r failed for good, %s", attempt, reason, exc_info=told, extra=facts)
        return outcome

    def _cancel(self, attempt: Attempt) -> None:
        # It was called after the task's first step: one that never began would never say its end.
        if isinstance(attempt.running, asyncio.Task):
            attempt.running.cancel()
