"""Noting what ended, per minute and hour."""

from __future__ import annotations

from datetime import datetime

from oqron_sql.contract.durations import to_ms
from oqron_sql.contract.model import Granularity, JobState
from oqron_sql.memory.data import Bucket, Record
from oqron_sql.memory.operation import Operation

GRANULARITIES: tuple[Granularity, ...] = ("minute", "hour")


def note_end(op: Operation, record: Record) -> None:
    """Count a job that has just been completed or has failed, if it ever ran."""
    job = record.job
    if op.metrics is None or job.processed_at is None:
        return
    completed = job.state is JobState.COMPLETED
    end = (job.completed_at if completed else job.failed_at) or op.now
    spent = max(0, to_ms(end - job.processed_at))
    buckets = op.queue(job.queue_name).buckets
    for granularity in GRANULARITIES:
        key = (job.name, granularity, period_of(end, granularity))
        add(
            buckets.setdefault(key, Bucket()), Bucket(completed, not completed, spent, spent, spent)
        )


def add(total: Bucket, part: Bucket) -> None:
    """Add one bucket to another."""
    total.completed += part.completed
    total.failed += part.failed
    total.total_ms += part.total_ms
    total.min_ms = min((ms for ms in (total.min_ms, part.min_ms) if ms is not None), default=None)
    total.max_ms = max((ms for ms in (total.max_ms, part.max_ms) if ms is not None), default=None)


def period_of(instant: datetime, granularity: Granularity) -> datetime:
    """Return the start of the minute or hour, in UTC, that an instant in UTC lies in."""
    if granularity == "hour":
        return instant.replace(minute=0, second=0, microsecond=0)
    return instant.replace(second=0, microsecond=0)
