"""Durable background jobs in the database an application already has."""

from typing import TYPE_CHECKING, Any

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
from oqron_sql.runtime import BlockingQueue, Context, FlowProducer, Queue, Worker

if TYPE_CHECKING:
    from oqron_sql.async_store import AsyncSQLStore
    from oqron_sql.store import SQLStore

__all__ = [
    "AsyncMemoryStore",
    "AsyncSQLStore",
    "AsyncStore",
    "BlockingQueue",
    "Complete",
    "Context",
    "Fail",
    "FetchOptions",
    "FlowProducer",
    "Job",
    "JobOptions",
    "JobState",
    "LeaseLost",
    "MemoryStore",
    "Metrics",
    "OqronError",
    "Queue",
    "Retry",
    "SQLStore",
    "Store",
    "Worker",
    "new_job",
    "new_worker_id",
]


def __getattr__(name: str) -> Any:
    """Import a SQL store when it is first asked for: without one, SQLAlchemy is not needed."""
    if name == "SQLStore":
        from oqron_sql.store import SQLStore

        return SQLStore
    if name == "AsyncSQLStore":
        from oqron_sql.async_store import AsyncSQLStore

        return AsyncSQLStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
