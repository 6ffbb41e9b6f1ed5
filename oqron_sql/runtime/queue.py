"""The queue as an application sees it, for callers that await."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Unpack

from oqron_sql.contract import (
    AsyncStore,
    EventType,
    Job,
    JobOptions,
    JobState,
    Schedule,
)
from oqron_sql.contract.checks import check_name
from oqron_sql.contract.options import DEFAULT_OPTIONS
from oqron_sql.runtime import orders
from oqron_sql.runtime.handles import JobHandle
from oqron_sql.runtime.orders import Bulk, Options, Span
from oqron_sql.runtime.schedules import Schedules, Series, series
from oqron_sql.runtime.stores import fitting
from oqron_sql.runtime.telling import announce, joined, tell
from oqron_sql.runtime.watching import changes_of


class Queue:
    """A queue on any awaitable store, which the caller connects and disconnects.

    `defaults` are the options of jobs that come without. Single options are keywords, those of
    `JobOptions`: `await queue.add("welcome", {"to": "ada"}, delay="5 minutes", attempts=3)`. With
    the host's `session` (or connection) a job is saved in the host's transaction.

    Raises:
        InvalidName: the name cannot be that of a queue.
        ConfigurationError: the store is not awaited; `BlockingQueue` takes one that blocks.
    """

    def __init__(
        self, name: str, store: AsyncStore, defaults: JobOptions = DEFAULT_OPTIONS
    ) -> None:
        self.name, self.defaults = check_name("queue", name), defaults
        self.store = fitting(store, "Queue", awaited=True)

    def __repr__(self) -> str:
        return f"<Queue {self.name!r}>"

    # -- adding --------------------------------------------------------------------------------

    async def add(
        self,
        name: str,
        data: Any = None,
        opts: JobOptions | None = None,
        *,
        session: Any = None,
        **options: Unpack[Options],
    ) -> JobHandle:
        """Save a job, in one round trip; the handle may be of a job that stands for it.

        Raises:
            InvalidInput: a name, an option or the payload cannot be what it is.
            GroupFull: as many jobs of its group wait as may.
        """
        job = orders.order(self.name, name, data, opts or self.defaults, options)
        store = joined(self.store, session)
        job_id = await store.save_job(self.name, job)
        if job_id == job.id and store.has_subscribers(self.name):
            await tell(store, [orders.saved(job)])
        return self.handle(job_id)

    async def add_bulk(
        self, jobs: Iterable[Bulk], *, session: Any = None, **options: Unpack[Options]
    ) -> Sequence[JobHandle]:
        """Save all or none of `jobs`, a thousand in a statement; `options` are for each of them.

        Raises:
            InvalidInput: a name, an option or a payload cannot be what it is.
            GroupFull: as many jobs of a group wait as may.
        """
        made = orders.order_bulk(self.name, jobs, self.defaults, options)
        store = joined(self.store, session)
        ids = await store.save_bulk(self.name, made)
        if store.has_subscribers(self.name):
            await tell(store, map(orders.saved, made))
        return [self.handle(job_id) for job_id in ids]

    async def schedule(
        self,
        delay: Span,
        /,
        name: str,
        data: Any = None,
        opts: JobOptions | None = None,
        *,
        session: Any = None,
        **options: Unpack[Options],
    ) -> JobHandle:
        """Save a job that is due after `delay`: a timedelta, seconds, or "in 5 minutes"."""
        options["delay"] = orders.leading("delay", orders.after, delay, name)
        return await self.add(name, data, opts, session=session, **options)

    async def now(
        self,
        name: str,
        data: Any = None,
        opts: JobOptions | None = None,
        *,
        session: Any = None,
        **options: Unpack[Options],
    ) -> JobHandle:
        """Save a job that is due at once, whatever delay its options have."""
        options["delay"] = None
        return await self.add(name, data, opts, session=session, **options)

    # -- series --------------------------------------------------------------------------------

    async def every(
        self,
        interval: Span,
        /,
        name: str,
        data: Any = None,
        opts: JobOptions | None = None,
        *,
        session: Any = None,
        **options: Unpack[Series],
    ) -> Schedule:
        """Have a job saved at each `interval`, from now on or from `start`; return the series.

        A series is known by its `key`, by default the name of its jobs: told again, as after a
        deploy, it goes on, and with another interval it begins anew.

        Raises:
            InvalidInput: a name, a bound, an option or the payload cannot be what it is.
        """
        own = opts or self.defaults
        span = orders.leading("interval", orders.after, interval, name)
        made = series(self.name, name, data, own, options, every=span)
        return await self._put(made, session)

    async def cron(
        self,
        expression: str,
        /,
        name: str,
        data: Any = None,
        opts: JobOptions | None = None,
        *,
        tz: str | None = None,
        session: Any = None,
        **options: Unpack[Series],
    ) -> Schedule:
        """Have a job saved whenever a cron expression says, in the zone `tz`; return the series.

        The expression has five fields, or six with seconds first, or is an alias like `@daily`; the
        zone is an IANA name, by default UTC. The rest is as in `every`.

        Raises:
            InvalidInput: a name, a bound, an option or the payload cannot be what it is.
        """
        own = opts or self.defaults
        made = series(self.name, name, data, own, options, cron=expression, tz=tz)
        return await self._put(made, session)

    @property
    def schedules(self) -> Schedules:
        """Its series: to be listed, read, paused, resumed and removed."""
        return Schedules(self.store, self.name)

    # -- jobs ----------------------------------------------------------------------------------

    def handle(self, job_id: str) -> JobHandle:
        """Return a handle of the job with that id, which need not exist."""
        return JobHandle(self.store, self.name, job_id)

    async def get(self, job_id: str) -> Job | None:
        """Return the job as it is now, or None."""
        return await self.store.get_job(self.name, job_id)

    async def list(self, state: JobState, start: int = 0, end: int = 100) -> Sequence[Job]:
        """Return a slice of the jobs in a state: ended ones newest first, others oldest first."""
        return await self.store.list_jobs(self.name, state, start, end)

    def observe(self, job_id: str) -> AsyncGenerator[Job, None]:
        """Yield the job now and whenever it has changed, until it has ended or is gone."""
        return changes_of(self.store, self.name, job_id)

    async def cancel(self, job_id: str) -> bool:
        """Stop a job that runs, fail one that has not begun; False if it has ended or never was."""
        return await self.store.cancel_job(self.name, job_id, unstarted=True)

    async def remove(self, job_id: str) -> None:
        """Delete a job in any state; a parent no longer waits for it."""
        await self.store.remove_job(self.name, job_id)

    async def retry(self, job_id: str | None = None, *, state: JobState = JobState.FAILED) -> int:
        """Let an ended job, or all in `state`, wait as if never run; return how many.

        Raises:
            InvalidJobState: the one job has not ended.
        """
        done = 1
        if job_id is None:
            done = await self.store.retry_jobs(self.name, state)
        else:
            expected = orders.ENDED
            await self.store.update_job(self.name, job_id, orders.AS_NEW, expected_state=expected)
        await announce(self.store, self.name, EventType.JOB_WAITING, job_id)
        return done

    async def promote(self, job_id: str | None = None) -> int:
        """Let a delayed job, or all of them, wait now; return how many.

        Raises:
            InvalidJobState: the one job is not delayed.
        """
        done = 1
        if job_id is None:
            done = await self.store.promote_jobs(self.name)
        else:
            expected = JobState.DELAYED
            await self.store.update_job(self.name, job_id, orders.AS_DUE, expected_state=expected)
        await announce(self.store, self.name, EventType.JOB_WAITING, job_id)
        return done

    # -- the whole of it -----------------------------------------------------------------------

    async def pause(self, name: str | None = None) -> None:
        """Hand out no more jobs of that name, or none at all; those that run go on."""
        await self.store.pause_job_name(self.name, name or orders.EVERY_NAME)
        await announce(self.store, self.name, EventType.QUEUE_PAUSED, data=name)

    async def resume(self, name: str | None = None) -> None:
        """Hand out jobs of that name again, or all that are not paused by name."""
        await self.store.resume_job_name(self.name, name or orders.EVERY_NAME)
        await announce(self.store, self.name, EventType.QUEUE_RESUMED, data=name)

    async def paused(self) -> Sequence[str]:
        """Return the paused names, sorted; "__all__" among them if the queue is."""
        return await self.store.get_paused_job_names(self.name)

    async def counts(self) -> dict[JobState, int]:
        """Count the jobs in each state, zeros included."""
        return await self.store.get_job_counts(self.name)

    async def drain(self) -> None:
        """Delete every job that has not begun."""
        await self.store.drain(self.name)
        await announce(self.store, self.name, EventType.QUEUE_DRAINED)

    async def clean(self, state: JobState, grace: Span, *, limit: int | None = None) -> int:
        """Delete jobs in `state` that ended, or were made, longer ago than `grace`; count them."""
        return await self.store.clean(self.name, state, orders.after(grace, "grace"), limit=limit)

    async def obliterate(self, *, force: bool = False) -> None:
        """Delete everything about the queue.

        Raises:
            QueueActive: jobs run in it, and `force` is False.
        """
        await self.store.obliterate(self.name, force=force)

    async def _put(self, asked: Schedule, session: Any) -> Schedule:
        store = joined(self.store, session)
        made = await store.put_schedule(self.name, asked)
        await announce(store, self.name, EventType.QUEUE_SCHEDULED)
        return made
