"""The store on SQL for callers that block: one line per method, one body each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from oqron_sql import migrate
from oqron_sql.base import BaseStore
from oqron_sql.binding import Body, blocking, in_steps
from oqron_sql.contract.clock import Clock
from oqron_sql.contract.codec import MAX_BYTES
from oqron_sql.contract.events import ErrorHandler, StoreEvent
from oqron_sql.contract.model import JobState, Metrics
from oqron_sql.contract.store import Store
from oqron_sql.engines import (
    BlockingBind,
    BlockingJoin,
    Pooler,
    blocking_source,
    check_joined,
)
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


class SQLStore(BaseStore):
    """A store on a SQL database, for callers that block.

    `bind` is a URL, or the host's Engine, Connection, Session or scoped_session; without one,
    `OQRON_URL` or a SQLite file in the working directory. On an engine every operation is a
    transaction of its own; on a connection or a session it joins the host's transaction, which the
    host commits. What was given open is never closed here, nor are its settings changed.

    `migrate` says what `connect` does about the tables: bring them to head ("auto"), only look
    ("check"), nothing ("off"). `pooler` says that there is one in front of the database, and what
    it lends a connection for: "transaction" or "session". `max_payload` is in bytes of JSON. `push`
    lets PostgreSQL's NOTIFY wake those who wait in other processes; without it, and for those who
    wait behind a pooler of transactions, they look once a second. Only tests pass a `clock`.

    Raises:
        ConfigurationError: `bind` is nothing a blocking store can use.
        InvalidPrefix: `prefix` or `schema` is not a safe identifier.
    """

    def __init__(
        self,
        bind: BlockingBind | None = None,
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
            blocking_source(bind, pooler),
            prefix=prefix,
            schema=schema,
            migrate=migrate,
            clock=clock,
            metrics=metrics,
            max_payload=max_payload,
            on_event_error=on_event_error,
            push=push,
        )

    def using(self, bind: BlockingJoin) -> Self:
        """Return this store bound to the host's session or connection: it joins its transaction.

        Raises:
            ConfigurationError: it is none, or one that is awaited.
        """
        check_joined(bind)
        return self._share(blocking_source(bind))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Self]:
        """Enter a transaction of what is done with the store it gives: all of it or nothing.

        It is committed at the end of the block, and undone if an error leaves it.

        Raises:
            StoreUnavailable: it cannot go on or was not committed; nothing is tried again here.
            ConfigurationError: this store is bound to a host's transaction already.
        """
        transaction = Transaction(self._shell)
        twin = self._twin(transaction)  # kept here: a fork is told to those that live
        transaction.enter()
        try:
            yield twin
        except BaseException:
            transaction.rollback()
            raise
        transaction.commit()

    def run(self, body: Body[R], /, *, repeatable: bool = True) -> R:
        """Run a body of SQL in one operation; for extensions."""
        return self._shell.run(body, repeatable=repeatable)

    def ask_for_hints(self, queue: str, job_id: str) -> None:
        """Let other processes hint at changes of a job for half a minute."""
        self.run(self._ask_for_hints(queue, job_id))

    def connect(self) -> None:
        """Check the server and bring the tables to head; idempotent."""
        self._connect()

    def disconnect(self) -> None:
        """Drop subscribers and close the engine if it was created here; idempotent."""
        self._disconnect()
        if self._shell.source.engine is not None:
            self._shell.notifier.close()
        owned = self._shell.source.owned
        if owned is not None and not isinstance(owned, AsyncEngine):
            owned.dispose()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    def publish(self, event: StoreEvent) -> None:
        """Deliver `event` to the subscribers; in a host's transaction, when that is committed."""
        if self._shell.source.join is None:
            self._shell.subscribers.deliver(event)
        else:
            self.run(lambda tx: tx.emit(event))

    def clean(
        self, queue: str, state: JobState, grace: timedelta, *, limit: int | None = None
    ) -> int:
        """Delete jobs in `state` that are older than `grace`; return how many."""
        return in_steps(
            self, lambda tx, n: maintenance.clean_step(tx, queue, state, grace, limit=n), limit
        )

    def drain(self, queue: str) -> None:
        """Delete all waiting, delayed and waiting-children jobs."""
        in_steps(self, lambda tx, n: maintenance.drain_step(tx, queue, limit=n))

    def remove_expired(self, queue: str, *, limit: int = 1000) -> int:
        """Delete finished jobs that were kept for a span now over; return how many."""
        return in_steps(self, lambda tx, n: retention.remove_expired(tx, queue, limit=n), limit)

    def retry_jobs(self, queue: str, state: JobState) -> int:
        """Make all failed (or completed) jobs waiting as if never run; return how many."""
        return in_steps(self, lambda tx, n: maintenance.retry_step(tx, queue, state, limit=n))

    def promote_delayed_jobs(
        self, queue: str, timestamp: datetime | None = None, *, limit: int | None = None
    ) -> int:
        """Make delayed jobs due at `timestamp` (default: now) waiting; return how many."""
        return in_steps(
            self, lambda tx, n: delaying.promote_due_step(tx, queue, timestamp, limit=n), limit
        )

    def promote_jobs(self, queue: str) -> int:
        """Make every delayed job waiting; return how many."""
        return in_steps(self, lambda tx, n: delaying.promote_step(tx, queue, limit=n))

    save_job = blocking(saving.save_job)
    save_bulk = blocking(saving.save_bulk)
    save_flow = blocking(saving.save_flow)
    get_job = blocking(jobs.get_job)
    find_job_by_id = blocking(jobs.find_job_by_id)
    update_job = blocking(updating.update_job)
    append_logs = blocking(jobs.append_logs, repeatable=False)
    remove_job = blocking(jobs.remove_job)
    cancel_job = blocking(jobs.cancel_job)
    find_by_deduplication_key = blocking(deduplicating.find_by_deduplication_key)
    fetch_next_job = blocking(fetch.fetch_next_job, repeatable=False)
    fetch_jobs = blocking(fetch.fetch_jobs, repeatable=False)
    extend_lock = blocking(leases.extend_lock)
    extend_locks = blocking(leases.extend_locks)
    check_locks = blocking(leases.check_locks)
    release_lock = blocking(leases.release_lock)
    finish_jobs = blocking(finishing.finish_jobs)
    recover_lost = blocking(leases.recover_lost)
    get_stalled_jobs = blocking(leases.get_stalled_jobs)
    get_outlook = blocking(outlook.get_outlook)
    get_active_count = blocking(counting.count_active)
    count_jobs = blocking(counting.count_jobs)
    get_job_counts = blocking(counting.get_job_counts)
    list_jobs = blocking(counting.list_jobs)
    list_queues = blocking(overview.list_queues)
    get_next_delayed_timestamp = blocking(delaying.get_next_delayed_timestamp)
    put_schedule = blocking(schedules.put_schedule)
    get_schedule = blocking(schedules.get_schedule)
    list_schedules = blocking(schedules.list_schedules)
    pause_schedule = blocking(schedules.pause_schedule)
    resume_schedule = blocking(schedules.resume_schedule)
    remove_schedule = blocking(schedules.remove_schedule)
    fire_schedules = blocking(schedules.fire_schedules)
    pause_job_name = blocking(pausing.pause_job_name)
    resume_job_name = blocking(pausing.resume_job_name)
    get_paused_job_names = blocking(pausing.get_paused_job_names)
    obliterate = blocking(maintenance.obliterate)
    notify_child_completed = blocking(flows.notify_child_completed, repeatable=False)
    fail_parent_on_child_failure = blocking(flows.fail_parent_on_child_failure)
    get_children_jobs = blocking(flows.get_children_jobs)
    list_flow_parents = blocking(flows.list_flow_parents)
    get_group_active_count = blocking(groups.get_group_active_count)
    get_waiting_group_count = blocking(groups.get_waiting_group_count)
    search_by_payload = blocking(searching.search_by_payload)
    search_by_name = blocking(searching.search_by_name)
    search_jobs = blocking(searching.search_jobs)
    get_metrics = blocking(measuring.get_metrics)
    aggregate_metrics = blocking(measuring.aggregate_metrics)


if TYPE_CHECKING:
    _: type[Store] = SQLStore
