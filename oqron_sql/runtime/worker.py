"""The worker as an application sees it: what it runs, and when it begins and ends."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from typing import Self

from oqron_sql.contract import AsyncStore, FetchOptions, Store, Waking, new_worker_id
from oqron_sql.contract.checks import check_count, check_duration, check_name
from oqron_sql.contract.options import ANY
from oqron_sql.errors import ConfigurationError
from oqron_sql.runtime.backoff import Strategy
from oqron_sql.runtime.crew import Crew
from oqron_sql.runtime.handlers import B, H, Handlers
from oqron_sql.runtime.hearing import waking_of
from oqron_sql.runtime.orders import Span, after
from oqron_sql.runtime.plan import Plan, check_lease
from oqron_sql.runtime.signals import on_signal
from oqron_sql.runtime.stores import awaitable, fitting

logger = logging.getLogger("oqron_sql")


class Worker:
    """Runs the jobs of one queue, on any store, which the caller connects and disconnects.

    `concurrency` handlers run at a time. `lease` is how long a job is ours before it has to be
    extended, 0.3 seconds at least, and so about how long a job waits whose worker was killed; after
    `max_lost` such losses it fails. `limits` are those of a fetch: rate, concurrency per group and
    of the queue, newest first. Up to `prefetch` jobs are leased ahead of need, and no more than a
    tenth of a second's work. `poll` bounds how long a job can wait that nobody told of. With
    `schedules` it fires those of its queue, too. `waking` tells of jobs that other processes add;
    by default the store does, if it can.

    `await worker.run()` is a process of its own: it ends with SIGTERM or SIGINT. Within an
    application, `async with worker:` works until the block ends, and raises what `run` does.

    Raises:
        InvalidInput: an argument cannot be what it is.
        ConfigurationError: the store is none.
    """

    def __init__(
        self,
        queue: str,
        store: AsyncStore | Store,
        handlers: Handlers | None = None,
        *,
        concurrency: int = 10,
        lease: Span = 30,
        limits: FetchOptions = ANY,
        prefetch: int = 1000,
        poll: Span = 1,
        max_lost: int = 3,
        schedules: bool = True,
        grace: Span | None = None,
        waking: Waking | None = None,
        worker_id: str | None = None,
    ) -> None:
        self.store = fitting(store, "Worker")
        self._plan = Plan(
            queue=check_name("queue", queue),
            worker_id=check_name("worker_id", worker_id or new_worker_id()),
            concurrency=check_count("concurrency", concurrency, least=1),
            lease=check_lease("lease", after(lease, "lease")),
            limits=limits,
            prefetch=check_count("prefetch", prefetch),
            poll=check_duration("poll", after(poll, "poll"), positive=True),
            max_lost=check_count("max_lost", max_lost),
            schedules=schedules,
        )
        self._grace = None if grace is None else after(grace, "grace").total_seconds()
        self._waking = waking
        self._handlers = Handlers()
        if handlers is not None:
            self._handlers.include(handlers)
        self._strategies: dict[str, Strategy] = {}
        self._crew: Crew | None = None
        self._closing: asyncio.Task[None] | None = None
        self._told: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def __repr__(self) -> str:
        return f"<Worker {self.id} of {self.queue!r}>"

    @property
    def id(self) -> str:
        """What the worker is called in the store."""
        return self._plan.worker_id

    @property
    def queue(self) -> str:
        """The queue whose jobs it runs."""
        return self._plan.queue

    @property
    def handlers(self) -> Handlers:
        """Who runs the jobs."""
        return self._handlers

    def adjust(
        self,
        *,
        concurrency: int | None = None,
        prefetch: int | None = None,
        lease: Span | None = None,
        grace: Span | None = None,
    ) -> None:
        """Let it work otherwise than it was made to, before it starts; None changes nothing.

        Raises:
            InvalidInput: an argument cannot be what it is.
            ConfigurationError: it works already.
        """
        self._refuse_at_work()
        if concurrency is not None:
            check_count("concurrency", concurrency, least=1)
            self._plan = dataclasses.replace(self._plan, concurrency=concurrency)
        if prefetch is not None:
            check_count("prefetch", prefetch)
            self._plan = dataclasses.replace(self._plan, prefetch=prefetch)
        if lease is not None:
            span = check_lease("lease", after(lease, "lease"))
            self._plan = dataclasses.replace(self._plan, lease=span)
        if grace is not None:
            self._grace = after(grace, "grace").total_seconds()

    # -- what it runs --------------------------------------------------------------------------

    def handler(self, name: str | None = None) -> Callable[[H], H]:
        """Run jobs of that name, or of every name without a handler, by the decorated function.

        An `async def` is run in the event loop, a plain function in a thread.

        Raises:
            ConfigurationError: the name has a handler, or what is decorated can be none.
        """
        return self._handlers.handler(name)

    def batch_handler(self, name: str | None = None, *, size: int) -> Callable[[B], B]:
        """Run jobs of that name up to `size` at a time, whatever is there, by one call.

        Raises:
            ConfigurationError: the name has a handler, or what is decorated can be none.
        """
        return self._handlers.batch_handler(name, size=size)

    def include(self, handlers: Handlers) -> None:
        """Add the handlers of a registry.

        Raises:
            ConfigurationError: one of their names has a handler.
            InvalidInput: it is no registry.
        """
        self._handlers.include(handlers)

    def backoff(self, name: str) -> Callable[[Strategy], Strategy]:
        """Let the decorated function be the strategy of that name, of `Backoff(type="custom")`.

        It gets the number of failed attempts and the last error, and returns how long to wait.
        """
        check_name("name", name)

        def register(strategy: Strategy) -> Strategy:
            self._strategies[name] = strategy
            return strategy

        return register

    # -- its life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until told to stop: by `close`, SIGTERM or SIGINT; a second signal hurries.

        Raises:
            ConfigurationError: it works already.
            StoreClosed: the store was not connected, or was disconnected meanwhile.
        """
        self._refuse_at_work()  # before anything of the call that is at work is touched
        told = self._told = asyncio.Event()
        with on_signal(self._signalled):
            try:
                await self.start()
                await told.wait()
            except BaseException:
                self.hurry()
                raise
            finally:
                await self.close()
        self._raise_failure()

    async def start(self) -> None:
        """Begin to work, in the background, until `close`, or until the store is closed.

        Raises:
            ConfigurationError: it works already.
            OSError, RuntimeError: the system had no thread or no files for the heartbeat; it can be
                started again.
        """
        self._refuse_at_work()
        if not self._handlers.names:
            logger.warning("%r has no handlers, so every job will fail", self)
        store = awaitable(self.store)
        waking = waking_of(self.store, self._waking)
        self._closing = self._failure = None
        crew = Crew(store, self._handlers, self._strategies, self._plan, waking, failed=self._fail)
        await crew.start()
        self._crew = crew
        logger.info("%r works with %r, %d at a time", self, self._handlers, self._plan.concurrency)

    async def close(self, grace: Span | None = None) -> None:
        """Take no more jobs, wait for those that run, hand back those that have not begun.

        What still runs after `grace` (or the worker's own, by default: however long it takes) is
        told to stop, and handed back too; no attempt is counted. Idempotent, and safe to cancel.
        """
        if self._told is not None:
            self._told.set()
        if self._crew is None:
            return
        if self._closing is None:
            seconds = self._grace if grace is None else after(grace, "grace").total_seconds()
            self._closing = asyncio.ensure_future(self._close(self._crew, seconds))
        await asyncio.shield(self._closing)

    def hurry(self) -> None:
        """Let `close` wait for nothing that runs."""
        if self._crew is not None:
            self._crew.hurry()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self.close()
        if kind is None:
            self._raise_failure()

    def _fail(self, error: BaseException) -> None:
        """End, because a part of it has: nothing that runs could be recorded."""
        if self._failure is not None or self._crew is None:
            return
        self._failure = error
        logger.error("%r ends: %s", self, error)
        if self._told is not None:
            self._told.set()
        self.hurry()
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(self._crew, 0))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _signalled(self) -> None:
        if self._told is None:
            return
        if self._told.is_set():
            logger.info("%r was told to stop once more: it hurries", self)
            self.hurry()
        else:
            logger.info("%r was told to stop: it waits for what runs and takes no more", self)
        self._told.set()

    def _refuse_at_work(self) -> None:
        if self._crew is not None:
            raise ConfigurationError(f"{self!r} works already")

    async def _close(self, crew: Crew, grace: float | None) -> None:
        await crew.close(grace)
        self._crew = None
        logger.info("%r has closed", self)
