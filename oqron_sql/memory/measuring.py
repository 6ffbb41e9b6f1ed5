"""What ended per minute and hour."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from oqron_sql.contract.model import Granularity, MetricsBucket
from oqron_sql.errors import InvalidInput, MetricsDisabled
from oqron_sql.memory.data import Bucket
from oqron_sql.memory.members import utc
from oqron_sql.memory.metering import GRANULARITIES, add
from oqron_sql.memory.operation import Operation
from oqron_sql.memory.pausing import ALL


def get_metrics(
    op: Operation, queue: str, granularity: Granularity, start: datetime, end: datetime
) -> list[MetricsBucket]:
    """Return the buckets from `start` to `end`, both included, per name and for all names."""
    if op.metrics is None:
        raise MetricsDisabled
    if granularity not in GRANULARITIES:
        raise InvalidInput("granularity", granularity, "must be minute or hour")
    first, last = utc("start", start), utc("end", end)
    sums: dict[datetime, Bucket] = defaultdict(Bucket)
    found: list[MetricsBucket] = []
    for (name, kind, period), bucket in op.queue(queue).buckets.items():
        if kind == granularity and first <= period <= last:
            add(sums[period], bucket)
            found.append(_bucket(queue, name, granularity, period, bucket))
    total = [_bucket(queue, ALL, granularity, period, bucket) for period, bucket in sums.items()]
    return sorted(total + found, key=lambda bucket: (bucket.period_start, bucket.job_name))


def aggregate_metrics(op: Operation) -> None:
    """Delete buckets past their retention."""
    if op.metrics is None:
        raise MetricsDisabled
    keep: dict[Granularity, timedelta] = {
        "minute": timedelta(minutes=op.metrics.retention_minutes),
        "hour": timedelta(hours=op.metrics.retention_hours),
    }
    for queue in op.data.queues.values():
        for key in list(queue.buckets):
            _, granularity, period = key
            if op.now - period > keep[granularity]:
                del queue.buckets[key]


def _bucket(
    queue: str, name: str, granularity: Granularity, period: datetime, bucket: Bucket
) -> MetricsBucket:
    return MetricsBucket(
        queue_name=queue,
        job_name=name,
        period_start=period,
        granularity=granularity,
        completed_count=bucket.completed,
        failed_count=bucket.failed,
        total_process_ms=bucket.total_ms,
        min_process_ms=bucket.min_ms,
        max_process_ms=bucket.max_ms,
    )
