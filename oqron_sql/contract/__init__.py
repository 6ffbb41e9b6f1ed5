"""What others may rely on: values, options, events and the Protocols of a store; no I/O."""

from oqron_sql.contract.async_store import AsyncStore, Later
from oqron_sql.contract.clock import Clock
from oqron_sql.contract.events import EventType, StoreEvent
from oqron_sql.contract.ids import new_id, new_worker_id
from oqron_sql.contract.model import (
    AttemptRecord,
    Complete,
    Extension,
    Fail,
    Job,
    JobState,
    JobUpdate,
    Metrics,
    MetricsBucket,
    Outcome,
    Outlook,
    QueueInfo,
    Recovered,
    Release,
    Retry,
    SearchFilter,
    SearchResult,
    Settled,
)
from oqron_sql.contract.newjob import hash_payload, new_job
from oqron_sql.contract.options import (
    Backoff,
    Deduplication,
    FetchOptions,
    Group,
    JobOptions,
    RateLimit,
    Repeat,
)
from oqron_sql.contract.schedules import Fired, Schedule
from oqron_sql.contract.store import Store
from oqron_sql.contract.waking import Wakeup, Waking

__all__ = [
    "AsyncStore",
    "AttemptRecord",
    "Backoff",
    "Clock",
    "Complete",
    "Deduplication",
    "EventType",
    "Extension",
    "Fail",
    "FetchOptions",
    "Fired",
    "Group",
    "Job",
    "JobOptions",
    "JobState",
    "JobUpdate",
    "Later",
    "Metrics",
    "MetricsBucket",
    "Outcome",
    "Outlook",
    "QueueInfo",
    "RateLimit",
    "Recovered",
    "Release",
    "Repeat",
    "Retry",
    "Schedule",
    "SearchFilter",
    "SearchResult",
    "Settled",
    "Store",
    "StoreEvent",
    "Wakeup",
    "Waking",
    "hash_payload",
    "new_id",
    "new_job",
    "new_worker_id",
]
