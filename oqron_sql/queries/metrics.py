"""What ended per minute and hour, recorded as it happens."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, case, delete, select

from oqron_sql.contract.checks import check_instant, check_name
from oqron_sql.contract.durations import to_ms
from oqron_sql.contract.model import Granularity, JobState, MetricsBucket
from oqron_sql.errors import InvalidInput, MetricsDisabled
from oqron_sql.queries.tx import Tx

ALL_NAMES = "__all__"
GRANULARITIES: tuple[Granularity, ...] = ("minute", "hour")
_Key = tuple[str, Granularity, datetime]


def record(tx: Tx, queue: str, seqs: Sequence[int | None]) -> None:
    """Count jobs that ended in this transaction; nothing unless the store records metrics."""
    if tx.settings.metrics is None or not seqs:
        return
    jobs = tx.tables.jobs
    ended = tx.conn.execute(
        select(
            jobs.c.name,
            jobs.c.state,
            jobs.c.processed_at,
            case((jobs.c.state == JobState.COMPLETED, jobs.c.completed_at), else_=jobs.c.failed_at),
        ).where(jobs.c.seq.in_(seqs), jobs.c.processed_at.is_not(None))
    ).all()
    points: dict[_Key, list[tuple[bool, int]]] = {}
    # Whoever ended a job by an update may not have said when: then it is now.
    untold = any(end is None for *_, end in ended)
    now = tx.read_clock() if untold else None
    for name, state, started, end in ended:
        done = state == JobState.COMPLETED
        if now is not None:
            end = end or now
        spent = max(0, to_ms(end - started))
        for granularity in GRANULARITIES:
            key = (name, granularity, _period(end, granularity))
            points.setdefault(key, []).append((done, spent))
    for key in sorted(points):  # in one order everywhere, so that two stores cannot deadlock
        _add(tx, queue, key, points[key])


def _add(tx: Tx, queue: str, key: _Key, points: list[tuple[bool, int]]) -> None:
    table = tx.tables.metrics
    name, granularity, start = key
    spent = [ms for _, ms in points]
    completed = sum(done for done, _ in points)
    new: dict[str, Any] = {
        "completed_count": completed,
        "failed_count": len(points) - completed,
        "total_process_ms": sum(spent),
        "min_process_ms": min(spent),
        "max_process_ms": max(spent),
    }
    where = {
        "queue_name": queue,
        "job_name": name,
        "granularity": granularity,
        "period_start": start,
    }
    more = {f"more_{column}": value for column, value in new.items()}
    tx.dialect.upsert(tx, table, where | new, _changes(table), more)


@functools.cache
def _changes(table: Table) -> dict[str, ColumnElement[Any]]:
    low, high = table.c.min_process_ms, table.c.max_process_ms
    more = {c.name: bindparam(f"more_{c.name}", type_=c.type) for c in table.columns}
    lowest, highest = more[low.name], more[high.name]
    return {
        **{
            name: table.c[name] + more[name]
            for name in ("completed_count", "failed_count", "total_process_ms")
        },
        low.name: case((low > lowest, lowest), else_=low),
        high.name: case((high < highest, highest), else_=high),
    }


def get_metrics(
    tx: Tx, queue: str, granularity: Granularity, start: datetime, end: datetime
) -> list[MetricsBucket]:
    """Return the buckets from `start` to `end`, per name and, summed up here, for all names."""
    if tx.settings.metrics is None:
        raise MetricsDisabled
    check_name("queue", queue)
    check_instant("start", start)
    check_instant("end", end)
    if granularity not in GRANULARITIES:
        raise InvalidInput("granularity", granularity, "must be minute or hour")
    table = tx.tables.metrics
    rows = tx.conn.execute(
        select(table).where(
            table.c.queue_name == queue,
            table.c.granularity == granularity,
            table.c.period_start.between(start, end),
        )
    ).mappings()
    buckets = [MetricsBucket(**row) for row in rows]
    sums = [_sum(group) for group in _by_period(buckets)]
    return sorted(buckets + sums, key=lambda bucket: (bucket.period_start, bucket.job_name))


def aggregate_metrics(tx: Tx) -> None:
    """Delete buckets past their retention."""
    if tx.settings.metrics is None:
        raise MetricsDisabled
    table, kept = tx.tables.metrics, tx.settings.metrics
    limits = {
        "minute": timedelta(minutes=kept.retention_minutes),
        "hour": timedelta(hours=kept.retention_hours),
    }
    for granularity, span in limits.items():
        old = table.c.period_start < tx.now(-span)
        tx.conn.execute(delete(table).where(table.c.granularity == granularity, old))


def forget(tx: Tx, queue: str) -> None:
    """Delete the metrics of a queue."""
    table = tx.tables.metrics
    tx.conn.execute(delete(table).where(table.c.queue_name == queue))


def _period(instant: datetime, granularity: Granularity) -> datetime:
    start = instant.replace(second=0, microsecond=0)
    return start if granularity == "minute" else start.replace(minute=0)


def _by_period(buckets: list[MetricsBucket]) -> list[list[MetricsBucket]]:
    groups: dict[datetime, list[MetricsBucket]] = {}
    for bucket in buckets:
        groups.setdefault(bucket.period_start, []).append(bucket)
    return list(groups.values())


def _sum(buckets: list[MetricsBucket]) -> MetricsBucket:
    first = buckets[0]
    return MetricsBucket(
        queue_name=first.queue_name,
        job_name=ALL_NAMES,
        period_start=first.period_start,
        granularity=first.granularity,
        completed_count=sum(b.completed_count for b in buckets),
        failed_count=sum(b.failed_count for b in buckets),
        total_process_ms=sum(b.total_process_ms for b in buckets),
        min_process_ms=min(b.min_process_ms or 0 for b in buckets),
        max_process_ms=max(b.max_process_ms or 0 for b in buckets),
    )
