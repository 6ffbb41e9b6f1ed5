"""The values that cross the boundary of a store."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, TypedDict

from oqron_sql.contract.ids import new_id
from oqron_sql.contract.options import DEFAULT_OPTIONS, JobOptions
from oqron_sql.errors import InvalidInput
from oqron_sql.hiding import hiding


class JobState(enum.StrEnum):
    """Where a job is in its life."""

    WAITING = "waiting"
    WAITING_CHILDREN = "waiting-children"
    DELAYED = "delayed"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"


def check_state(field: str, value: object) -> JobState:
    """Return `value` as a state.

    Raises:
        InvalidInput: it is none.
    """
    if type(value) is JobState:
        return value
    try:
        return JobState(value)  # type: ignore[arg-type]  # that is what is to be found out
    except ValueError:
        states = ", ".join(JobState)
        raise InvalidInput(field, value, f"must be one of {states}") from None


CANCELLED = "Job cancelled"
"""Why a job failed that was cancelled."""
FINISHED = frozenset({JobState.COMPLETED, JobState.FAILED})
LIVE = frozenset(JobState) - FINISHED


@hiding("error", "stacktrace", "logs")
@dataclasses.dataclass(slots=True, kw_only=True)
class AttemptRecord:
    """One lease of a job by a worker, and how it ended; `attempt` counts from 1."""

    attempt: int
    started_at: datetime | None = None
    ended_at: datetime | None = None
    status: Literal["completed", "failed"] | None = None
    error: str | None = None
    stacktrace: str | None = None
    logs: Sequence[str] = ()


@hiding("data", "returnvalue", "failed_reason", "logs", "stacktrace", "attempt_logs")
@dataclasses.dataclass(slots=True, kw_only=True)
class Job:
    """A job as a store returns it, and as it is handed in to be saved.

    The id is the client's, so saving the same object twice makes one job. Instants are aware;
    those left None are filled in by the store's clock: `created_at` always, `delay_until` of a
    delayed job from its options. `attempts_made` counts failed attempts, `lost_count` the leases
    that ran out. `lease` numbers the leases of this job; the newest alone can change it. `seq` is
    its place in the order of insertion, None before it is saved. History and children are tuples.
    Its `repr` shows neither payload nor history.
    """

    name: str
    queue_name: str
    id: str = dataclasses.field(default_factory=new_id)
    data: Any = None
    state: JobState = JobState.WAITING
    attempts_made: int = 0
    progress: float = 0
    returnvalue: Any = None
    failed_reason: str | None = None
    opts: JobOptions = DEFAULT_OPTIONS
    deduplication_key: str | None = None
    logs: Sequence[str] = ()
    stacktrace: Sequence[str] = ()
    attempt_logs: Sequence[AttemptRecord] = ()
    created_at: datetime | None = None
    processed_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    cancelled_at: datetime | None = None
    delay_until: datetime | None = None
    lock_until: datetime | None = None
    locked_by: str | None = None
    parent_id: str | None = None
    parent_queue_name: str | None = None
    pending_children_count: int = 0
    children_ids: Sequence[str] = ()
    group_id: str | None = None
    discarded: bool = False
    lease: int = 0
    lost_count: int = 0
    seq: int | None = None


class JobUpdate(TypedDict, total=False):
    """The members `update_job` may write. Explicit None clears; absent means unchanged."""

    data: Any
    state: JobState
    attempts_made: int
    lost_count: int
    progress: float
    returnvalue: Any
    failed_reason: str | None
    opts: JobOptions
    deduplication_key: str | None
    logs: Sequence[str]
    stacktrace: Sequence[str]
    attempt_logs: Sequence[AttemptRecord]
    processed_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    cancelled_at: datetime | None
    delay_until: datetime | None
    lock_until: datetime | None
    locked_by: str | None
    parent_id: str | None
    parent_queue_name: str | None
    pending_children_count: int
    children_ids: Sequence[str]
    group_id: str | None
    discarded: bool


UPDATABLE = frozenset(JobUpdate.__annotations__)


@hiding("returnvalue")
@dataclasses.dataclass(frozen=True, slots=True)
class Complete:
    """The attempt succeeded: the job ends as completed with `returnvalue`."""

    job: Job
    returnvalue: Any = None


@hiding("reason", "stacktrace")
@dataclasses.dataclass(frozen=True, slots=True)
class Fail:
    """The attempt failed for the last time: the job ends as failed with `reason`."""

    job: Job
    reason: str
    stacktrace: str | None = None


@hiding("reason", "stacktrace")
@dataclasses.dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed and another is to follow after `delay`, from the store's now."""

    job: Job
    reason: str
    delay: timedelta = timedelta(0)
    stacktrace: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Release:
    """The attempt was not made, or is not to count: the job waits again, in its old place."""

    job: Job


Outcome = Complete | Fail | Retry | Release


class Settled(NamedTuple):
    """What became of one outcome: the job's state now, or None and nothing changed: `lost`."""

    job_id: str
    lease: int
    state: JobState | None

    @property
    def lost(self) -> bool:
        """Whether the lease was no longer held, so that the outcome was refused."""
        return self.state is None


@dataclasses.dataclass(frozen=True, slots=True)
class Extension:
    """What became of one lease to be extended; `lock_until` is None when it was `lost`.

    One that was `skipped` is held and stands as it was: another transaction had the job's row.
    """

    job_id: str
    lease: int
    lock_until: datetime | None
    cancelled: bool = False
    skipped: bool = False

    @property
    def lost(self) -> bool:
        """Whether the lease was no longer held: stop the work."""
        return self.lock_until is None


@dataclasses.dataclass(frozen=True, slots=True)
class Recovered:
    """A job taken back from a worker whose lease ran out: waiting again, or failed for good."""

    job_id: str
    queue_name: str
    state: JobState
    lease: int
    lost_count: int
    worker_id: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Outlook:
    """What there is to do in a queue, as one cheap look tells it.

    `waiting`: a job waits that is not paused. `due_in`: the time until the next delayed job is due,
    by the store's clock; zero when one is, None without any. `fires_in`: the same of the schedules'
    next slot. `lost`: the lease of an active job ran out. `expired`: a finished job was to be kept
    for a span of time that is over.
    """

    waiting: bool = False
    due_in: timedelta | None = None
    lost: bool = False
    expired: bool = False
    fires_in: timedelta | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueInfo:
    """One queue at a glance.

    `scheduled_count` counts its schedules that have a next slot, and, for Conveyor's callers, live
    jobs whose options have a `repeat`.
    """

    name: str
    counts: dict[JobState, int]
    is_paused: bool
    latest_activity: datetime | None
    scheduled_count: int


Granularity = Literal["minute", "hour"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricsBucket:
    """What ended in one minute or hour; `job_name` is `__all__` for the sum over all names."""

    queue_name: str
    job_name: str
    period_start: datetime
    granularity: Granularity
    completed_count: int = 0
    failed_count: int = 0
    total_process_ms: int = 0
    min_process_ms: int | None = None
    max_process_ms: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """That a store records metrics, and how long it keeps them."""

    retention_minutes: int = 1440
    retention_hours: int = 720


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchFilter:
    """Members combine with AND; an absent one does not filter. Bounds on creation are inclusive."""

    queue_name: str | None = None
    states: tuple[JobState, ...] = ()
    name: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


EVERYTHING = SearchFilter()


@dataclasses.dataclass(frozen=True, slots=True)
class SearchResult:
    """One page of jobs, newest first, and how many there are in all."""

    jobs: list[Job]
    total: int
