"""A process that fires schedules and runs no jobs."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, Self

from oqron_sql.contract import AsyncStore, EventType, Store, StoreEvent, Waking
from oqron_sql.contract.checks import check_duration, check_name
from oqron_sql.errors import ConfigurationError
from oqron_sql.runtime.firing import fire
from oqron_sql.runtime.hearing import Hearing, waking_of
from oqron_sql.runtime.orders import Span, after
from oqron_sql.runtime.persisting import on_failure, persist
from oqron_sql.runtime.signals import on_signal
from oqron_sql.runtime.stores import awaitable, fitting
from oqron_sql.runtime.telling import tell
from oqron_sql.runtime.watching import wait_for

logger = logging.getLogger("oqron_sql")

TIMEOUT = 30.0
LOOK_AFTER = 0.05
"""How many seconds after a hint to look: most are of jobs, and of many together."""


class Scheduler:
    """Fires the schedules of some queues, on any store, which the caller connects.

    Workers do so too, unless they are told not to; any number of both may at once, and each slot is
    fired once. `poll` bounds how long it takes to hear of a new schedule that nobody told of, and
    how far the clocks of database and process may drift apart meanwhile. `waking` tells of those
    that other processes put; by default the store does, if it can.

    `await scheduler.run()` is a process of its own: it ends with SIGTERM or SIGINT. Within an
    application, `async with scheduler:` fires until the block ends, and raises what `run` does.

    Raises:
        InvalidInput: an argument cannot be what it is.
        ConfigurationError: the store is none.
    """

    def __init__(
        self,
        queues: str | Iterable[str],
        store: AsyncStore | Store,
        *,
        poll: Span = 1,
        waking: Waking | None = None,
    ) -> None:
        names = [queues] if isinstance(queues, str) else queues
        self.queues = tuple(check_name("queue", name) for name in names)
        self.store = fitting(store, "Scheduler")
        self._poll = check_duration("poll", after(poll, "poll"), positive=True)
        self._waking = waking
        self._told = asyncio.Event()
        self._watches: list[Watch] = []
        self._failure: BaseException | None = None

    def __repr__(self) -> str:
        return f"<Scheduler of {', '.join(map(repr, self.queues))}>"

    async def run(self) -> None:
        """Fire until told to stop: by `close`, SIGTERM or SIGINT.

        Raises:
            ConfigurationError: it does so already.
            StoreClosed: the store was not connected, or was disconnected meanwhile.
        """
        async with self:
            with on_signal(self._told.set):
                await self._told.wait()

    async def start(self) -> None:
        """Begin to fire, in the background, until `close`, or until the store is closed.

        Raises:
            ConfigurationError: it does so already.
        """
        if self._watches:
            raise ConfigurationError(f"{self!r} works already")
        self._told.clear()
        self._failure = None
        store, waking = awaitable(self.store), waking_of(self.store, self._waking)
        self._watches = [
            Watch(store, queue, self._poll, waking, failed=self._fail) for queue in self.queues
        ]
        for watch in self._watches:
            watch.start()

    async def close(self) -> None:
        """Fire no more, and wait for what is under way. Idempotent."""
        self._told.set()
        await asyncio.gather(*(watch.close() for watch in self._watches))
        self._watches.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self.close()
        if kind is None and self._failure is not None:
            raise self._failure

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            logger.error("%r ends: %s", self, error)
            self._told.set()


class Watch:
    """Fires the schedules of one queue."""

    def __init__(
        self,
        store: AsyncStore,
        queue: str,
        poll: timedelta,
        waking: Waking | None,
        *,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._store, self._queue, self._poll, self._failed = store, queue, poll, failed
        self._hearing = Hearing(store, queue, waking, heed=self._heed, woken=self._woken)
        self._soon = asyncio.Event()
        self._looking: asyncio.TimerHandle | None = None
        self._closed = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to fire, in the background."""
        self._hearing.start()
        self._run(f"firing schedules of {self._queue!r}", self._step)
        if self._hearing.hints:
            self._run("waiting to be woken", lambda: self._hearing.step(self._poll))

    async def close(self) -> None:
        """Fire no more, and wait for what is under way."""
        self._closed = True
        self._soon.set()
        await asyncio.wait(self._tasks[:1], timeout=TIMEOUT)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._hearing.close()
        if self._looking is not None:
            self._looking.cancel()

    def _run(self, what: str, step: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.ensure_future(persist(what, step, lambda: self._closed))
        task.add_done_callback(functools.partial(on_failure, self._failed))
        self._tasks.append(task)

    async def _step(self) -> None:
        """Fire what is due, and wait until something is."""
        self._soon.clear()
        events: list[StoreEvent] = []

        def note(kind: EventType, job_id: str, data: Any = None) -> None:
            events.append(StoreEvent(type=kind, queue_name=self._queue, job_id=job_id, data=data))

        async with asyncio.timeout(TIMEOUT):
            outlook = await self._store.get_outlook(self._queue)
            again = await fire(self._store, self._queue, outlook, note)
        if self._store.has_subscribers(self._queue, besides=self._hearing.hear):
            await tell(self._store, events)
        pause = timedelta(0) if again else min(outlook.fires_in or self._poll, self._poll)
        # A little longer, so that not all of them look in the same moment.
        await wait_for(self._soon, pause.total_seconds() * random.uniform(1, 1.1))  # noqa: S311

    def _heed(self, event: StoreEvent) -> None:
        if event.type is EventType.QUEUE_SCHEDULED:
            self._soon.set()

    def _woken(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(LOOK_AFTER, self._look)

    def _look(self) -> None:
        self._looking = None
        self._soon.set()
