"""Every queue at a glance, without reading its finished jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, true

from oqron_sql.contract.model import FINISHED, LIVE, JobState, QueueInfo
from oqron_sql.queries.tx import INSTANT, Tx
from oqron_sql.schema.tables import STATES


def list_queues(tx: Tx) -> list[QueueInfo]:
    """Return every queue that has a job, by name."""
    counts: dict[str, dict[JobState, int]] = {}
    for name, state, n in [*_live(tx), *_finished(tx)]:
        if n:
            counts.setdefault(name, dict.fromkeys(JobState, 0))[JobState(state)] = int(n)
    queues = tx.tables.queues
    paused = set(tx.conn.scalars(select(queues.c.name).where(queues.c.paused)))
    repeating = _repeating(tx)
    return [
        QueueInfo(
            name=name,
            counts=counts[name],
            is_paused=name in paused,
            latest_activity=_latest(tx, name),
            scheduled_count=repeating.get(name, 0),
        )
        for name in sorted(counts)
    ]


def _live(tx: Tx) -> list[tuple[str, str, int]]:
    jobs = tx.tables.jobs
    found: list[tuple[str, str, int]] = []
    for state in JobState:
        if state in LIVE:
            query = (
                select(jobs.c.queue_name, func.count())
                .where(jobs.c.state == STATES[state])
                .group_by(jobs.c.queue_name)
            )
            found += [(name, state, n) for name, n in tx.conn.execute(query)]
    return found


def _finished(tx: Tx) -> list[tuple[str, str, int]]:
    table = tx.tables.tallies
    query = select(table.c.queue_name, table.c.state, func.sum(table.c.n))
    return [
        tuple(row) for row in tx.conn.execute(query.group_by(table.c.queue_name, table.c.state))
    ]


def _repeating(tx: Tx) -> dict[str, int]:
    jobs = tx.tables.jobs
    found: dict[str, int] = {}
    for state in JobState:
        if state in LIVE:
            query = (
                select(jobs.c.queue_name, func.count())
                .where(jobs.c.state == STATES[state], jobs.c.repeats == true())
                .group_by(jobs.c.queue_name)
            )
            for name, n in tx.conn.execute(query):
                found[name] = found.get(name, 0) + n
    return found


def _latest(tx: Tx, queue: str) -> datetime | None:
    """Return the newest instant of any job; one look-up per index that ends in one."""
    jobs = tx.tables.jobs
    instants: dict[JobState, Any] = {
        JobState.COMPLETED: jobs.c.completed_at,
        JobState.FAILED: jobs.c.failed_at,
    }
    live = (jobs.c.created_at, jobs.c.processed_at)
    found = [
        tx.conn.scalar(
            select(func.max(column, type_=INSTANT)).where(
                jobs.c.queue_name == queue, jobs.c.state == STATES[state]
            )
        )
        for state in JobState
        for column in ((instants[state],) if state in FINISHED else live)
    ]
    return max((instant for instant in found if instant is not None), default=None)
