"""The store contract for blocking callers, split by role; `Store` is the whole of it.

It is Conveyor's `StoreInterface` in snake_case. Parameters after a `*` are additions, so that the
upstream call still works. Spans of time are timedeltas, instants are aware datetimes, and every
"now" is the store's clock. Names are refused with `InvalidName` and values that JSON cannot carry
with `PayloadError`, before anything is written. Losing the database raises `StoreUnavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from oqron_sql.contract.events import Callback, StoreEvent
from oqron_sql.contract.model import (
    EVERYTHING,
    Extension,
    Granularity,
    Job,
    JobState,
    JobUpdate,
    MetricsBucket,
    Outcome,
    Outlook,
    QueueInfo,
    Recovered,
    SearchFilter,
    SearchResult,
    Settled,
)
from oqron_sql.contract.options import ANY, FetchOptions
from oqron_sql.contract.schedules import Fired, Schedule


class Lifecycle(Protocol):
    """Opening and closing."""

    def connect(self) -> None:
        """Open the store, check the server, and migrate its tables as configured; idempotent.

        Raises:
            UnsupportedDatabase: the server or its settings cannot keep the store's promises.
            SchemaOutOfDate: the tables are newer, or may not be migrated here and are older.
        """

    def disconnect(self) -> None:
        """Drop subscribers and release what the store itself opened; idempotent."""


class JobCrud(Protocol):
    """Single jobs."""

    def save_job(self, queue: str, job: Job) -> str:
        """Save `job` and return its id, or the id of the job that stands for it.

        That is the live job with the same deduplication key, unless its TTL (counted from its
        creation) is over, or the job that already has this id in this queue. `queue` must equal
        the job's own queue. State and links are stored as given.

        Raises:
            GroupFull: as many jobs of its group wait as its options allow.
        """

    def save_bulk(self, queue: str, jobs: Sequence[Job]) -> list[str]:
        """Save all or none of `jobs`, by the rules of `save_job`; ids come in the same order."""

    def get_job(self, queue: str, job_id: str) -> Job | None:
        """Return a copy of the job, or None."""

    def find_job_by_id(self, job_id: str) -> Job | None:
        """Return the job of that id in any queue, or None; if several queues have it, any."""

    def update_job(
        self,
        queue: str,
        job_id: str,
        updates: JobUpdate,
        *,
        expected_state: JobState | Sequence[JobState] | None = None,
        lease: int | None = None,
    ) -> None:
        """Write the given members; an unknown id without a condition is no error.

        Leaving `active` gives up the lease, a terminal state frees the deduplication key, and an
        instant that a new state needs (completed_at, failed_at, delay_until) defaults to now. The
        place in the queue is kept. What a key's TTL was when its job was saved, it stays; and how
        a leased job ends goes by what it was when it was leased. Only an active job has an owner:
        `locked_by` becomes None in any other state, and of a job that nobody held it is a new
        lease, with the next number, so that a lease that was given up stays lost.

        Raises:
            InvalidJobState: not in `expected_state`; "unknown" if there is no such job.
            LeaseLost: `lease` is given and not the one held.
            InvalidInput: a member that cannot be updated.
        """

    def append_logs(
        self, queue: str, job_id: str, lines: Sequence[str], *, lease: int | None = None
    ) -> None:
        """Add lines to the job's log; concurrent appends are all kept.

        Raises:
            JobNotFound: there is no such job, and no `lease` was given.
            LeaseLost: `lease` is given and not the one held.
        """

    def remove_job(self, queue: str, job_id: str) -> None:
        """Delete the job; unknown is fine. A waiting parent no longer waits for it."""

    def cancel_job(self, queue: str, job_id: str, *, unstarted: bool = False) -> bool:
        """Mark an active job as cancelled and publish `job:cancelled`; False in other states.

        With `unstarted`, one that has not begun ends as failed, "Job cancelled", and its parent is
        told, all the way up.
        """


class Deduplicating(Protocol):
    """One live job per key."""

    def find_by_deduplication_key(self, queue: str, key: str) -> Job | None:
        """Return the live job with that key whose TTL is not over, or None."""


class Leasing(Protocol):
    """Handing jobs to workers: every lease has a number, and only the newest one counts."""

    def fetch_next_job(
        self, queue: str, worker_id: str, lock_duration: timedelta, opts: FetchOptions = ANY
    ) -> Job | None:
        """Lease the next waiting job: `fetch_jobs` for one."""

    def fetch_jobs(
        self,
        queue: str,
        worker_id: str,
        lock_duration: timedelta,
        n: int,
        opts: FetchOptions = ANY,
    ) -> list[Job]:
        """Lease up to `n` waiting jobs, in order of priority and then of insertion.

        Each is made active for `worker_id` until now + `lock_duration` and gets the next lease
        number; no two callers get the same one. Paused names are passed over.
        """

    def extend_lock(
        self, queue: str, job_id: str, duration: timedelta, *, lease: int | None = None
    ) -> bool:
        """Let the lock of an active job end at now + `duration`; False if it is not active.

        Raises:
            LeaseLost: `lease` is given and not the one held.
        """

    def extend_locks(self, queue: str, jobs: Sequence[Job], duration: timedelta) -> list[Extension]:
        """Let many leases end at now + `duration`, in one statement, and none sooner than it would.

        So a call that the caller gave up, and that is carried out late, cannot cut short what a
        later one was told. No lease waits for the row of another job: one whose row is held by
        another transaction is skipped, and said to be; ask again. Says of each lease besides
        whether it was lost, and of its job whether it was cancelled.
        """

    def check_locks(self, queue: str, jobs: Sequence[Job]) -> list[Extension]:
        """Say of many leases what `extend_locks` would, in one statement that writes nothing."""

    def release_lock(self, queue: str, job_id: str, *, lease: int | None = None) -> None:
        """Clear lock and owner in any state; unknown is fine. The state stays as it is.

        Raises:
            LeaseLost: `lease` is given and not the one held.
        """

    def finish_jobs(self, queue: str, outcomes: Sequence[Outcome]) -> list[Settled]:
        """Record how leased jobs ended, many at once; a stale lease changes nothing and is told.

        Ending a job frees its deduplication key, tells its parent, all the way up, and removes what
        its options do not want kept, in the same transaction. Repeating a call whose reply was lost
        is safe. If others of a call are lost, a completion that was recorded may be told as lost,
        too: of a job that somebody removed, or retried, in that very moment.
        """

    def recover_lost(self, queue: str, *, limit: int = 100, max_lost: int = 3) -> list[Recovered]:
        """Take back up to `limit` jobs whose lock ran out: waiting again, in their old place.

        A job lost more than `max_lost` times ends as failed, and is kept or removed as any that
        fails. Attempts are not counted.
        """

    def get_stalled_jobs(
        self, queue: str, threshold: timedelta = timedelta(0), *, limit: int = 1000
    ) -> list[Job]:
        """Return active jobs whose lock ran out, oldest lock first; `threshold` is ignored."""


class Counting(Protocol):
    """How many jobs are where, and which."""

    def get_outlook(self, queue: str) -> Outlook:
        """Say what there is to do, in one cheap statement: what an idle worker asks."""

    def get_active_count(self, queue: str) -> int:
        """Count the active jobs."""

    def count_jobs(self, queue: str, state: JobState) -> int:
        """Count the jobs in one state."""

    def get_job_counts(self, queue: str) -> dict[JobState, int]:
        """Count the jobs in each of the six states, zeros included."""

    def list_jobs(self, queue: str, state: JobState, start: int = 0, end: int = 100) -> list[Job]:
        """Return the slice [start, end) of the jobs in a state.

        Completed and failed jobs come newest end first, all others oldest creation first; ties go
        by insertion, in the same direction.
        """

    def list_queues(self) -> list[QueueInfo]:
        """Return every queue that has a job, by name."""


class Delaying(Protocol):
    """Jobs that are not due yet."""

    def get_next_delayed_timestamp(self, queue: str) -> datetime | None:
        """Return when the next delayed job is due, or None."""

    def promote_delayed_jobs(
        self, queue: str, timestamp: datetime | None = None, *, limit: int | None = None
    ) -> int:
        """Make delayed jobs due at `timestamp` (default: now) waiting; return how many.

        A `limit` bounds how many; without one, all of them are promoted in bounded steps.
        """

    def promote_jobs(self, queue: str) -> int:
        """Make every delayed job waiting; return how many."""


class Scheduling(Protocol):
    """Series of jobs, apart from what becomes of their jobs."""

    def put_schedule(self, queue: str, schedule: Schedule) -> Schedule:
        """Begin a series, or let the one with this key go on as told; return what is stored.

        A series goes on where it is (what it has fired, what is due next, whether it is paused),
        unless its pattern is another: cron, every, time zone or start. Then it begins anew.
        """

    def get_schedule(self, queue: str, key: str) -> Schedule | None:
        """Return the schedule, or None."""

    def list_schedules(
        self, queue: str | None = None, start: int = 0, end: int = 100
    ) -> list[Schedule]:
        """Return the slice [start, end) of the schedules of a queue, or of all, by queue and key.

        The order of keys is that of their bytes. One that cannot be read here is among them, with
        its `error`.
        """

    def pause_schedule(self, queue: str, key: str) -> bool:
        """Fire no more slots of the series; False if there is none. Idempotent."""

    def resume_schedule(self, queue: str, key: str) -> bool:
        """Go on with the first slot from now on; False if there is no such series. Idempotent."""

    def remove_schedule(self, queue: str, key: str) -> bool:
        """End the series; False if there was none. The jobs that it made stay."""

    def fire_schedules(self, queue: str, *, limit: int = 100) -> list[Fired]:
        """Save the jobs of slots that are due, up to `limit` of them; return which, in any order.

        A slot is fired once, whoever fires at the same time: its job and that the series has moved
        on are written in one transaction. Slots that nobody was there for are made up for as the
        schedule says.
        """


class Pausing(Protocol):
    """Job names that are not handed out; `__all__` means the whole queue."""

    def pause_job_name(self, queue: str, job_name: str) -> None:
        """Stop handing out jobs of that name; idempotent."""

    def resume_job_name(self, queue: str, job_name: str) -> None:
        """Hand out jobs of that name again; idempotent."""

    def get_paused_job_names(self, queue: str) -> list[str]:
        """Return the paused names, sorted, `__all__` among them if the queue is paused."""


class Maintenance(Protocol):
    """Cleaning up; large changes are made in bounded steps."""

    def clean(
        self, queue: str, state: JobState, grace: timedelta, *, limit: int | None = None
    ) -> int:
        """Delete jobs in `state` that are older than `grace`; return how many.

        Age counts from completed_at, failed_at or else created_at.
        """

    def drain(self, queue: str) -> None:
        """Delete all waiting, delayed and waiting-children jobs."""

    def obliterate(self, queue: str, *, force: bool = False) -> None:
        """Delete everything about the queue.

        Raises:
            QueueActive: it has active jobs and `force` is False.
        """

    def remove_expired(self, queue: str, *, limit: int = 1000) -> int:
        """Delete up to `limit` finished jobs that were kept for a span now over; return how many.

        That is what `remove_on_complete` and `remove_on_fail` ask for; not to keep a job at all, or
        as one of the newest so many, is seen to by `finish_jobs` itself.
        """

    def retry_jobs(self, queue: str, state: JobState) -> int:
        """Make all failed (or completed) jobs waiting as if never run; return how many.

        Raises:
            InvalidInput: `state` is neither failed nor completed.
        """


class Eventing(Protocol):
    """Events within this process; never blocking, never awaited."""

    def subscribe(self, queue: str, callback: Callback) -> None:
        """Call `callback` for each event of `queue`."""

    def unsubscribe(self, queue: str, callback: Callback | None = None) -> None:
        """Stop calling `callback`, or every callback of `queue`."""

    def has_subscribers(self, queue: str, *, besides: Callback | None = None) -> bool:
        """Whether an event of `queue` would reach any callback `besides` one; else make none."""


class Publishing(Protocol):
    """Events told by the caller."""

    def publish(self, event: StoreEvent) -> None:
        """Deliver `event` to the subscribers before returning; a failing one is logged."""


class Flows(Protocol):
    """Trees of jobs."""

    def save_flow(self, jobs: Sequence[Job]) -> list[str]:
        """Save jobs of any queues, children before parents, all or none; ids in that order.

        Deduplication keys are honoured: a child that another job stands for is not waited for.
        """

    def notify_child_completed(
        self, parent_queue: str, parent_id: str, *, child_id: str | None = None
    ) -> JobState:
        """Count one child of a waiting-children parent as done; at none left it becomes waiting.

        Returns the parent's state, `completed` if it is missing or no longer waits for children.
        A `child_id` is counted once, however often it is told, and not if it is no child of it.
        """

    def fail_parent_on_child_failure(self, parent_queue: str, parent_id: str, reason: str) -> bool:
        """Fail a parent that is waiting or waiting for children, and tell its own parent.

        Its reason is "Child failed: " and `reason`. False, and nothing done, in any other state.
        """

    def get_children_jobs(self, parent_queue: str, parent_id: str) -> list[Job]:
        """Return the children, in any queue and state, oldest first."""

    def list_flow_parents(self, state: JobState | None = None, limit: int = 100) -> list[Job]:
        """Return jobs that have children, newest first."""


class Grouping(Protocol):
    """Counts per group."""

    def get_group_active_count(self, queue: str, group_id: str) -> int:
        """Count the active jobs of a group."""

    def get_waiting_group_count(self, queue: str, group_id: str) -> int:
        """Count the waiting jobs of a group."""


class Searching(Protocol):
    """Finding jobs; these read many rows and are meant for people."""

    def search_by_payload(self, queue: str, text: str, limit: int = 50) -> list[Job]:
        """Return jobs whose payload's JSON contains `text`, whatever its case; newest first."""

    def search_by_name(self, text: str, queue: str | None = None, limit: int = 50) -> list[Job]:
        """Return jobs whose name contains `text`, whatever its case; newest first."""

    def search_jobs(
        self, filter: SearchFilter = EVERYTHING, start: int = 0, end: int = 50
    ) -> SearchResult:
        """Return one page of the jobs that match, newest first, and their total."""


class Measuring(Protocol):
    """What ended per minute and hour."""

    def get_metrics(
        self, queue: str, granularity: Granularity, start: datetime, end: datetime
    ) -> list[MetricsBucket]:
        """Return the buckets from `start` to `end`, both included, per name and for `__all__`.

        Raises:
            MetricsDisabled: the store records none.
        """

    def aggregate_metrics(self) -> None:
        """Delete buckets past their retention; hours are recorded as they happen.

        Raises:
            MetricsDisabled: the store records none.
        """


class Store(
    Lifecycle,
    JobCrud,
    Deduplicating,
    Leasing,
    Counting,
    Delaying,
    Scheduling,
    Pausing,
    Maintenance,
    Eventing,
    Publishing,
    Flows,
    Grouping,
    Searching,
    Measuring,
    Protocol,
):
    """Everything a blocking queue, worker or dashboard may ask of a store."""
