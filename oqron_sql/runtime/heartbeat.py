"""Keeping the leases of all jobs with one statement, from where no handler can keep it from it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from datetime import timedelta

from oqron_sql.contract import AsyncStore
from oqron_sql.contract.abilities import Twinning
from oqron_sql.runtime.attempts import Attempt
from oqron_sql.runtime.context import Stop
from oqron_sql.runtime.persisting import warn_of
from oqron_sql.runtime.watching import wait_for

logger = logging.getLogger("oqron_sql")

BEAT = 0.7
"""How many seconds lie between two looks at the leases, and about how late a cancellation comes."""
YOUNG = 0.2
"""Jobs that were leased, or looked at, so many seconds ago need no look."""


class Heartbeat:
    """Extends leases in good time, and stops attempts that lost theirs or are cancelled.

    It has a thread, an event loop and a twin of the store to itself; where a store has no twin, it
    beats in the worker's own loop. When leases cannot be extended, attempts are told to stop before
    their leases end, so that nobody else runs a job that is still run here.
    """

    def __init__(
        self,
        store: AsyncStore,
        queue: str,
        held: Iterable[Attempt],
        lease: timedelta,
        stop: Callable[[Attempt, Stop], None],
    ) -> None:
        self._store, self._queue, self._held, self._stop = store, queue, held, stop
        self._lease, self._span = lease, lease.total_seconds()
        self._beat = min(BEAT, self._span / 10)
        self._margin = self._span / 4  # more than a beat: stopping takes time, too
        self._young = min(YOUNG, self._beat)
        self._call: asyncio.Task[None] | None = None
        self._called_at = 0.0
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._home = self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Beat until `close`.

        Raises:
            OSError, RuntimeError: the system had no thread, or no files for an event loop.
        """
        twin = self._store.twin() if isinstance(self._store, Twinning) else None
        if twin is None:
            self._task = self._loop.create_task(self._beat_on(self._store, self._closing))
            return
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._serve, args=(twin, ready), name="oqron_sql heartbeat", daemon=True
        )
        self._thread.start()
        ready.result()

    async def close(self) -> None:
        """Beat no more."""
        if self._task is not None:
            self._closing.set()
            await self._task
        elif self._thread is not None:
            with suppress(RuntimeError):  # its loop has closed
                self._loop.call_soon_threadsafe(self._closing.set)
            await asyncio.to_thread(self._thread.join, self._span)

    def _serve(self, twin: AsyncStore, ready: Future[None]) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._beat_apart(twin, ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)  # no files for an event loop: who starts it is told

    async def _beat_apart(self, twin: AsyncStore, ready: Future[None]) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        ready.set_result(None)
        await self._beat_on(twin, self._closing)
        try:
            await twin.disconnect()
        except Exception:
            logger.warning("the heartbeat's store would not close", exc_info=True)

    async def _beat_on(self, store: AsyncStore, closing: asyncio.Event) -> None:
        while not await wait_for(closing, self._beat):
            if self._home.is_closed():  # nobody closed the worker, but nobody runs its jobs either
                break
            try:
                self._step(store)
            except Exception:
                logger.exception("the heartbeat failed; it goes on")
        if self._call is not None:
            self._call.cancel()
            await asyncio.wait([self._call])

    def _step(self, store: AsyncStore) -> None:
        now = time.monotonic()
        attempts = [each for each in list(self._held) if each.stop is not Stop.LEASE_LOST]
        for attempt in attempts:
            if attempt.lease_end - now < self._margin:
                logger.error("the lease of %r could not be extended in time", attempt)
                self._stop(attempt, Stop.LEASE_LOST)
        if self._call is not None and not self._call.done():
            if now - self._called_at > self._span / 2:
                self._call.cancel()  # whatever it waits for; the next one has another connection
            return
        old = [each for each in attempts if now - each.seen_at >= self._young]
        if old:
            due = any(each.lease_end - now < self._span * 2 / 3 for each in old)
            self._called_at = now
            self._call = asyncio.get_running_loop().create_task(self._look(store, old, extend=due))

    async def _look(self, store: AsyncStore, attempts: list[Attempt], *, extend: bool) -> None:
        asked_at = time.monotonic()
        jobs = [attempt.job for attempt in attempts]
        try:
            if store is not self._store:  # a twin; the worker's own is connected by the caller
                await store.connect()
            if extend:
                found = await store.extend_locks(self._queue, jobs, self._lease)
            else:
                found = await store.check_locks(self._queue, jobs)
        except Exception as error:  # noqa: BLE001 - it is tried again, and fenced meanwhile
            warn_of(error, "leases could not be looked at, trying again")
            return
        for attempt, lease in zip(attempts, found, strict=True):
            if lease.lost:
                self._stop(attempt, Stop.LEASE_LOST)
                continue
            attempt.seen_at = asked_at
            if extend and not lease.skipped:
                attempt.lease_end = asked_at + self._span
            if lease.cancelled:
                self._stop(attempt, Stop.CANCELLED)
