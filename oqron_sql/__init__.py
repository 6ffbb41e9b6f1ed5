"""Durable background jobs in the database an application already has."""

from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.contract import (
    AsyncStore,
    Complete,
    Fail,
    FetchOptions,
    Job,
    JobOptions,
    JobState,
    Metrics,
    Retry,
    Store,
    new_job,
    new_worker_id,
)
from oqron_sql.errors import LeaseLost, OqronError
from oqron_sql.memory import AsyncMemoryStore, MemoryStore
from oqron_sql.store import SQLStore

__all__ = [
    "AsyncMemoryStore",
    "AsyncSQLStore",
    "AsyncStore",
    "Complete",
    "Fail",
    "FetchOptions",
    "Job",
    "JobOptions",
    "JobState",
    "LeaseLost",
    "MemoryStore",
    "Metrics",
    "OqronError",
    "Retry",
    "SQLStore",
    "Store",
    "new_job",
    "new_worker_id",
]
