"""A process that fires schedules and runs no jobs."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Self

from oqron_sql.contract import AsyncStore, EventType, Store, StoreEvent
from oqron_sql.contract.checks import check_duration, check_name
from oqron_sql.errors import ConfigurationError
from oqron_sql.runtime.firing import fire
from oqron_sql.runtime.orders import Span, after
from oqron_sql.runtime.persisting import persist
from oqron_sql.runtime.signals import on_signal
from oqron_sql.runtime.stores import awaitable
from oqron_sql.runtime.telling import tell
from oqron_sql.runtime.watching import wait_for

TIMEOUT = 30.0


class Scheduler:
    """Fires the schedules of some queues, on any store, which the caller connects.

    Workers do so too, unless they are told not to; any number of both may at once, and each slot is
    fired once. `poll` bounds how long it takes to hear of a new schedule, and is what the clocks
    of database and process may drift apart meanwhile.

    `await scheduler.run()` is a process of its own: it ends with SIGTERM or SIGINT. Within an
    application, `async with scheduler:` fires until the block ends.

    Raises:
        InvalidInput: an argument cannot be what it is.
    """

    def __init__(
        self, queues: str | Iterable[str], store: AsyncStore | Store, *, poll: Span = 1
    ) -> None:
        names = [queues] if isinstance(queues, str) else queues
        self.queues = tuple(check_name("queue", name) for name in names)
        self.store = store
        self._poll = check_duration("poll", after(poll), positive=True)
        self._closing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Scheduler of {', '.join(map(repr, self.queues))}>"

    async def run(self) -> None:
        """Fire until told to stop: by `close`, SIGTERM or SIGINT.

        Raises:
            ConfigurationError: it does so already.
        """
        async with self:
            with on_signal(self._closing.set):
                await self._closing.wait()

    async def start(self) -> None:
        """Begin to fire, in the background, until `close`.

        Raises:
            ConfigurationError: it does so already.
        """
        if self._tasks:
            raise ConfigurationError(f"{self!r} works already")
        self._closing.clear()
        store = awaitable(self.store)
        for queue in self.queues:
            step = functools.partial(self._step, store, queue)
            loop = persist(f"firing schedules of {queue!r}", step, self._closing.is_set)
            self._tasks.append(asyncio.ensure_future(loop))

    async def close(self) -> None:
        """Fire no more, and wait for what is under way. Idempotent."""
        self._closing.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=TIMEOUT)
            for task in late:
                task.cancel()
            self._tasks.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _step(self, store: AsyncStore, queue: str) -> None:
        """Fire what is due, and wait until something is."""
        events: list[StoreEvent] = []

        def note(kind: EventType, job_id: str, data: Any = None) -> None:
            events.append(StoreEvent(type=kind, queue_name=queue, job_id=job_id, data=data))

        async with asyncio.timeout(TIMEOUT):
            outlook = await store.get_outlook(queue)
            again = await fire(store, queue, outlook, note)
        if store.has_subscribers(queue):
            await tell(store, events)
        pause = timedelta(0) if again else min(outlook.fires_in or self._poll, self._poll)
        # A little longer, so that not all of them look in the same moment.
        await wait_for(self._closing, pause.total_seconds() * random.uniform(1, 1.1))  # noqa: S311
