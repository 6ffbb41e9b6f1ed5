"""The store on SQL for callers that await: one line per method, the bodies of the blocking one."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from oqron_sql import migrate
from oqron_sql.base import BaseStore
from oqron_sql.binding import Body, awaiting, in_awaited_steps
from oqron_sql.contract.async_store import AsyncStore
from oqron_sql.contract.clock import Clock
from oqron_sql.contract.codec import MAX_BYTES
from oqron_sql.contract.events import ErrorHandler, StoreEvent
from oqron_sql.contract.model import Job, JobState, Metrics
from oqron_sql.engines import (
    AwaitingBind,
    AwaitingJoin,
    Pooler,
    awaiting_source,
    check_joined,
    twin_source,
)
from oqron_sql.errors import OqronError
from oqron_sql.gathering import Entry, Gathering
from oqron_sql.home import Home
from oqron_sql.queries import (
    counting,
    deduplicating,
    delaying,
    fetch,
    finishing,
    flows,
    groups,
    jobs,
    leases,
    maintenance,
    outlook,
    overview,
    pausing,
    retention,
    saving,
    schedules,
    searching,
    updating,
)
from oqron_sql.queries import metrics as measuring
from oqron_sql.schema.tables import DEFAULT_PREFIX
from oqron_sql.transaction import Transaction

R = TypeVar("R")
Gatherings = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Gathering]

CANCEL_GRACE = timedelta(seconds=5)


class AsyncSQLStore(BaseStore):
    """A store on a SQL database, for callers that await.

    `bind` is what `SQLStore` takes, or the host's AsyncEngine, AsyncConnection or AsyncSession. A
    driver that can be awaited is; any other runs in a thread. Everything else is as in `SQLStore`.
    A cancelled call is seen through, or its connection thrown away: none is left in the middle.

    Raises:
        ConfigurationError: `bind` is nothing an awaiting store can use.
        InvalidPrefix: `prefix` or `schema` is not a safe identifier.
    """

    def __init__(
        self,
        bind: AwaitingBind | None = None,
        *,
        prefix: str = DEFAULT_PREFIX,
        schema: str | None = None,
        migrate: migrate.Mode = "auto",
        pooler: Pooler | None = None,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        max_payload: int = MAX_BYTES,
        on_event_error: ErrorHandler | None = None,
        push: bool = True,
    ) -> None:
        super().__init__(
            awaiting_source(bind, pooler),
            prefix=prefix,
            schema=schema,
            migrate=migrate,
            clock=clock,
            metrics=metrics,
            max_payload=max_payload,
            on_event_error=on_event_error,
            push=push,
        )
        self._open()

    def _open(self) -> None:
        source = self._shell.source
        # Coroutines that share a connection, or the transaction on it, wait for each other; so do
        # threads, of which one that nobody waits for any more may still be at work.
        one = source.shared or source.join is not None
        workers = 1 if one or source.dialect.exclusive else 10
        self._threads = ThreadPoolExecutor(workers, "oqron_sql") if source.hop == "thread" else None
        self._turn = asyncio.Lock() if one else contextlib.nullcontext()
        self._home = Home(source.engine) if source.engine and source.hop == "greenlet" else None
        self._gatherings: Gatherings = weakref.WeakKeyDictionary()

    def using(self, bind: AwaitingJoin) -> Self:
        """Return this store bound to the host's session or connection: it joins its transaction.

        Raises:
            ConfigurationError: it is none.
        """
        check_joined(bind)
        return self._share(awaiting_source(bind))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Self]:
        """Enter a transaction of what is done with the store it gives: all of it or nothing.

        It is committed at the end of the block, and undone if an error leaves it.

        Raises:
            StoreUnavailable: it cannot go on or was not committed; nothing is tried again here.
            ConfigurationError: this store is bound to a host's transaction already.
        """
        transaction = Transaction(self._shell)
        twin = self._twin(transaction)
        async with self._turn:
            try:
                await twin._see_through(transaction.enter)
                yield twin
            except BaseException:
                await twin._see_through(transaction.rollback)
                raise
            else:
                await twin._see_through(transaction.commit)
            finally:
                twin._end_threads()

    def twin(self) -> Self | None:
        """Return this store for the event loop of another thread; None if it cannot be shared."""
        source = twin_source(self._shell.source)
        if source is None:
            return None
        twin = self._share(source)
        twin._shell = self._shell.twin(source)
        return twin

    async def run(self, body: Body[R], /, *, repeatable: bool = True) -> R:
        """Run a body of SQL in one operation; for extensions."""
        if self._shell.source.hop == "none":
            return self._shell.run(body, repeatable=repeatable)
        if self._shell.source.join is not None:
            # In the caller's own task, which a scoped session goes by; nothing is decided here.
            result: R = await self._hop(lambda: self._shell.run(body, repeatable=repeatable))
            return result
        return await self._see_through(lambda: self._shell.run(body, repeatable=repeatable))

    async def _see_through(self, call: Callable[[], R]) -> R:
        """Make a blocking call, whose end is waited for even by a task that is cancelled."""
        task: asyncio.Task[R] = asyncio.ensure_future(self._hop(call))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Ours, not the database's: see it through, so that the outcome is not a riddle.
            _, late = await asyncio.wait({task}, timeout=CANCEL_GRACE.total_seconds())
            for one in late:
                one.cancel()
            if not late and not task.cancelled():
                task.exception()
            raise

    async def _hop(self, call: Any) -> Any:
        if self._home is not None:
            self._home.enter()
        async with self._turn:
            if self._threads is not None:
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
            return await greenlet_spawn(call)

    async def save_job(self, queue: str, job: Job) -> str:
        """Save `job` and return its id, or the id of the job that stands for it.

        Saves that are made while one is under way are committed together after it.
        """
        if self._shell.source.join is not None:
            return await self.run(lambda tx: saving.save_job(tx, queue, job))
        loop = asyncio.get_running_loop()
        if loop not in self._gatherings:
            self._gatherings[loop] = Gathering(self._save_each)
        return await self._gatherings[loop].save(queue, job)

    async def _save_each(self, jobs: Sequence[Entry]) -> list[str | OqronError]:
        # Nobody waits for this task itself, so that no caller's cancellation can reach it.
        saved: list[str | OqronError] = await self._hop(
            lambda: self._shell.run(lambda tx: saving.save_each(tx, jobs))
        )
        return saved

    async def ask_for_hints(self, queue: str, job_id: str) -> None:
        """Let other processes hint at changes of a job for half a minute."""
        await self.run(self._ask_for_hints(queue, job_id))

    async def connect(self) -> None:
        """Check the server and bring the tables to head; idempotent."""
        if self._shell.source.engine is not None:
            await self._hop(self._connect)

    async def disconnect(self) -> None:
        """Drop subscribers and close the engine if it was created here; idempotent."""
        self._disconnect()
        if self._shell.source.engine is not None:
            await self._shell.notifier.aclose()
        owned = self._shell.source.owned
        if isinstance(owned, AsyncEngine):
            await owned.dispose(close=self._home is None or self._home.is_here())
        elif owned is not None:
            await self._hop(owned.dispose)
        self._end_threads()

    def _end_threads(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._open()  # for what is called when it is over, and for connecting again

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def publish(self, event: StoreEvent) -> None:
        """Deliver `event` to the subscribers; in a host's transaction, when that is committed."""
        if self._shell.source.join is None:
            self._shell.subscribers.deliver(event)
        else:
            await self.run(lambda tx: tx.emit(event))

    async def clean(
        self, queue: str, state: JobState, grace: timedelta, *, limit: int | None = None
    ) -> int:
        """Delete jobs in `state` that are older than `grace`; return how many."""
        return await in_awaited_steps(
            self, lambda tx, n: maintenance.clean_step(tx, queue, state, grace, limit=n), limit
        )

    async def drain(self, queue: str) -> None:
        """Delete all waiting, delayed and waiting-children jobs."""
        await in_awaited_steps(self, lambda tx, n: maintenance.drain_step(tx, queue, limit=n))

    async def remove_expired(self, queue: str, *, limit: int = 1000) -> int:
        """Delete finished jobs that were kept for a span now over; return how many."""
        return await in_awaited_steps(
            self, lambda tx, n: retention.remove_expired(tx, queue, limit=n), limit
        )

    async def retry_jobs(self, queue: str, state: JobState) -> int:
        """Make all failed (or completed) jobs waiting as if never run; return how many."""
        return await in_awaited_steps(
            self, lambda tx, n: maintenance.retry_step(tx, queue, state, limit=n)
        )

    async def promote_delayed_jobs(
        self, queue: str, timestamp: datetime | None = None, *, limit: int | None = None
    ) -> int:
        """Make delayed jobs due at `timestamp` (default: now) waiting; return how many."""
        return await in_awaited_steps(
            self, lambda tx, n: delaying.promote_due_step(tx, queue, timestamp, limit=n), limit
        )

    async def promote_jobs(self, queue: str) -> int:
        """Make every delayed job waiting; return how many."""
        return await in_awaited_steps(self, lambda tx, n: delaying.promote_step(tx, queue, limit=n))

    save_bulk = awaiting(saving.save_bulk)
    save_flow = awaiting(saving.save_flow)
    get_job = awaiting(jobs.get_job)
    find_job_by_id = awaiting(jobs.find_job_by_id)
    update_job = awaiting(updating.update_job)
    append_logs = awaiting(jobs.append_logs, repeatable=False)
    remove_job = awaiting(jobs.remove_job)
    cancel_job = awaiting(jobs.cancel_job)
    find_by_deduplication_key = awaiting(deduplicating.find_by_deduplication_key)
    fetch_next_job = awaiting(fetch.fetch_next_job, repeatable=False)
    fetch_jobs = awaiting(fetch.fetch_jobs, repeatable=False)
    extend_lock = awaiting(leases.extend_lock)
    extend_locks = awaiting(leases.extend_locks)
    check_locks = awaiting(leases.check_locks)
    release_lock = awaiting(leases.release_lock)
    finish_jobs = awaiting(finishing.finish_jobs)
    recover_lost = awaiting(leases.recover_lost)
    get_stalled_jobs = awaiting(leases.get_stalled_jobs)
    get_outlook = awaiting(outlook.get_outlook)
    get_active_count = awaiting(counting.count_active)
    count_jobs = awaiting(counting.count_jobs)
    get_job_counts = awaiting(counting.get_job_counts)
    list_jobs = awaiting(counting.list_jobs)
    list_queues = awaiting(overview.list_queues)
    get_next_delayed_timestamp = awaiting(delaying.get_next_delayed_timestamp)
    put_schedule = awaiting(schedules.put_schedule)
    get_schedule = awaiting(schedules.get_schedule)
    list_schedules = awaiting(schedules.list_schedules)
    pause_schedule = awaiting(schedules.pause_schedule)
    resume_schedule = awaiting(schedules.resume_schedule)
    remove_schedule = awaiting(schedules.remove_schedule)
    fire_schedules = awaiting(schedules.fire_schedules)
    pause_job_name = awaiting(pausing.pause_job_name)
    resume_job_name = awaiting(pausing.resume_job_name)
    get_paused_job_names = awaiting(pausing.get_paused_job_names)
    obliterate = awaiting(maintenance.obliterate)
    notify_child_completed = awaiting(flows.notify_child_completed, repeatable=False)
    fail_parent_on_child_failure = awaiting(flows.fail_parent_on_child_failure)
    get_children_jobs = awaiting(flows.get_children_jobs)
    list_flow_parents = awaiting(flows.list_flow_parents)
    get_group_active_count = awaiting(groups.get_group_active_count)
    get_waiting_group_count = awaiting(groups.get_waiting_group_count)
    search_by_payload = awaiting(searching.search_by_payload)
    search_by_name = awaiting(searching.search_by_name)
    search_jobs = awaiting(searching.search_jobs)
    get_metrics = awaiting(measuring.get_metrics)
    aggregate_metrics = awaiting(measuring.aggregate_metrics)


if TYPE_CHECKING:
    _: type[AsyncStore] = AsyncSQLStore
