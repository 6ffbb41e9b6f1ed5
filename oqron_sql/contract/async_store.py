"""The store contract for awaiting callers, split by role; `AsyncStore` is the whole of it.

Meaning, units and errors are those of `oqron_sql.contract.store`, where each method is described.
Methods return `Later`, so that a plain `async def` and a bound body both satisfy them.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias, TypeVar

from oqron_sql.contract.events import StoreEvent
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
from oqron_sql.contract.store import Eventing

T = TypeVar("T")
Later: TypeAlias = Coroutine[Any, Any, T]


class AsyncLifecycle(Protocol):
    """Opening and closing."""

    def connect(self) -> Later[None]: ...

    def disconnect(self) -> Later[None]: ...


class AsyncJobCrud(Protocol):
    """Single jobs."""

    def save_job(self, queue: str, job: Job) -> Later[str]: ...

    def save_bulk(self, queue: str, jobs: Sequence[Job]) -> Later[list[str]]: ...

    def get_job(self, queue: str, job_id: str) -> Later[Job | None]: ...

    def find_job_by_id(self, job_id: str) -> Later[Job | None]: ...

    def update_job(
        self,
        queue: str,
        job_id: str,
        updates: JobUpdate,
        *,
        expected_state: JobState | Sequence[JobState] | None = None,
        lease: int | None = None,
    ) -> Later[None]: ...

    def append_logs(
        self, queue: str, job_id: str, lines: Sequence[str], *, lease: int | None = None
    ) -> Later[None]: ...

    def remove_job(self, queue: str, job_id: str) -> Later[None]: ...

    def cancel_job(self, queue: str, job_id: str, *, unstarted: bool = False) -> Later[bool]: ...


class AsyncDeduplicating(Protocol):
    """One live job per key."""

    def find_by_deduplication_key(self, queue: str, key: str) -> Later[Job | None]: ...


class AsyncLeasing(Protocol):
    """Handing jobs to workers: every lease has a number, and only the newest one counts."""

    def fetch_next_job(
        self, queue: str, worker_id: str, lock_duration: timedelta, opts: FetchOptions = ANY
    ) -> Later[Job | None]: ...

    def fetch_jobs(
        self,
        queue: str,
        worker_id: str,
        lock_duration: timedelta,
        n: int,
        opts: FetchOptions = ANY,
    ) -> Later[list[Job]]: ...

    def extend_lock(
        self, queue: str, job_id: str, duration: timedelta, *, lease: int | None = None
    ) -> Later[bool]: ...

    def extend_locks(
        self, queue: str, jobs: Sequence[Job], duration: timedelta
    ) -> Later[list[Extension]]: ...

    def check_locks(self, queue: str, jobs: Sequence[Job]) -> Later[list[Extension]]: ...

    def release_lock(self, queue: str, job_id: str, *, lease: int | None = None) -> Later[None]: ...

    def finish_jobs(self, queue: str, outcomes: Sequence[Outcome]) -> Later[list[Settled]]: ...

    def recover_lost(
        self, queue: str, *, limit: int = 100, max_lost: int = 3
    ) -> Later[list[Recovered]]: ...

    def get_stalled_jobs(
        self, queue: str, threshold: timedelta = timedelta(0), *, limit: int = 1000
    ) -> Later[list[Job]]: ...


class AsyncCounting(Protocol):
    """How many jobs are where, and which."""

    def get_outlook(self, queue: str) -> Later[Outlook]: ...

    def get_active_count(self, queue: str) -> Later[int]: ...

    def count_jobs(self, queue: str, state: JobState) -> Later[int]: ...

    def get_job_counts(self, queue: str) -> Later[dict[JobState, int]]: ...

    def list_jobs(
        self, queue: str, state: JobState, start: int = 0, end: int = 100
    ) -> Later[list[Job]]: ...

    def list_queues(self) -> Later[list[QueueInfo]]: ...


class AsyncDelaying(Protocol):
    """Jobs that are not due yet."""

    def get_next_delayed_timestamp(self, queue: str) -> Later[datetime | None]: ...

    def promote_delayed_jobs(
        self, queue: str, timestamp: datetime | None = None, *, limit: int | None = None
    ) -> Later[int]: ...

    def promote_jobs(self, queue: str) -> Later[int]: ...


class AsyncScheduling(Protocol):
    """Series of jobs, apart from what becomes of their jobs."""

    def put_schedule(self, queue: str, schedule: Schedule) -> Later[Schedule]: ...

    def get_schedule(self, queue: str, key: str) -> Later[Schedule | None]: ...

    def list_schedules(
        self, queue: str | None = None, start: int = 0, end: int = 100
    ) -> Later[list[Schedule]]: ...

    def pause_schedule(self, queue: str, key: str) -> Later[bool]: ...

    def resume_schedule(self, queue: str, key: str) -> Later[bool]: ...

    def remove_schedule(self, queue: str, key: str) -> Later[bool]: ...

    def fire_schedules(self, queue: str, *, limit: int = 100) -> Later[list[Fired]]: ...


class AsyncPausing(Protocol):
    """Job names that are not handed out; `__all__` means the whole queue."""

    def pause_job_name(self, queue: str, job_name: str) -> Later[None]: ...

    def resume_job_name(self, queue: str, job_name: str) -> Later[None]: ...

    def get_paused_job_names(self, queue: str) -> Later[list[str]]: ...


class AsyncMaintenance(Protocol):
    """Cleaning up; large changes are made in bounded steps."""

    def clean(
        self, queue: str, state: JobState, grace: timedelta, *, limit: int | None = None
    ) -> Later[int]: ...

    def drain(self, queue: str) -> Later[None]: ...

    def obliterate(self, queue: str, *, force: bool = False) -> Later[None]: ...

    def remove_expired(self, queue: str, *, limit: int = 1000) -> Later[int]: ...

    def retry_jobs(self, queue: str, state: JobState) -> Later[int]: ...


class AsyncPublishing(Protocol):
    """Events told by the caller."""

    def publish(self, event: StoreEvent) -> Later[None]: ...


class AsyncFlows(Protocol):
    """Trees of jobs."""

    def save_flow(self, jobs: Sequence[Job]) -> Later[list[str]]: ...

    def notify_child_completed(
        self, parent_queue: str, parent_id: str, *, child_id: str | None = None
    ) -> Later[JobState]: ...

    def fail_parent_on_child_failure(
        self, parent_queue: str, parent_id: str, reason: str
    ) -> Later[bool]: ...

    def get_children_jobs(self, parent_queue: str, parent_id: str) -> Later[list[Job]]: ...

    def list_flow_parents(
        self, state: JobState | None = None, limit: int = 100
    ) -> Later[list[Job]]: ...


class AsyncGrouping(Protocol):
    """Counts per group."""

    def get_group_active_count(self, queue: str, group_id: str) -> Later[int]: ...

    def get_waiting_group_count(self, queue: str, group_id: str) -> Later[int]: ...


class AsyncSearching(Protocol):
    """Finding jobs; these read many rows and are meant for people."""

    def search_by_payload(self, queue: str, text: str, limit: int = 50) -> Later[list[Job]]: ...

    def search_by_name(
        self, text: str, queue: str | None = None, limit: int = 50
    ) -> Later[list[Job]]: ...

    def search_jobs(
        self, filter: SearchFilter = EVERYTHING, start: int = 0, end: int = 50
    ) -> Later[SearchResult]: ...


class AsyncMeasuring(Protocol):
    """What ended per minute and hour."""

    def get_metrics(
        self, queue: str, granularity: Granularity, start: datetime, end: datetime
    ) -> Later[list[MetricsBucket]]: ...

    def aggregate_metrics(self) -> Later[None]: ...


class AsyncStore(
    AsyncLifecycle,
    AsyncJobCrud,
    AsyncDeduplicating,
    AsyncLeasing,
    AsyncCounting,
    AsyncDelaying,
    AsyncScheduling,
    AsyncPausing,
    AsyncMaintenance,
    Eventing,
    AsyncPublishing,
    AsyncFlows,
    AsyncGrouping,
    AsyncSearching,
    AsyncMeasuring,
    Protocol,
):
    """Everything an awaiting queue, worker or dashboard may ask of a store."""
