"""Jobs that are not due yet."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, null, select, update

from oqron_sql.contract.checks import check_instant, check_name, check_names
from oqron_sql.contract.model import JobState
from oqron_sql.queries.rows import in_state
from oqron_sql.queries.tx import Tx
from oqron_sql.queries.waking import rouse
from oqron_sql.schema.tables import STATES


def get_next_delayed_timestamp(tx: Tx, queue: str) -> datetime | None:
    """Return when the next delayed job is due, or None."""
    check_names(queue=queue)
    due: datetime | None = tx.conn.scalar(
        delayed(tx, queue).with_only_columns(tx.tables.jobs.c.delay_until).limit(1)
    )
    return due


def promote_due_step(tx: Tx, queue: str, timestamp: datetime | None = None, *, limit: int) -> int:
    """Make up to `limit` jobs that are due at `timestamp` waiting."""
    jobs = tx.tables.jobs
    due = tx.now() if timestamp is None else check_instant("timestamp", timestamp)
    return _promote(tx, queue, limit, jobs.c.delay_until <= due)


def promote_step(tx: Tx, queue: str, *, limit: int) -> int:
    """Make up to `limit` delayed jobs waiting."""
    return _promote(tx, queue, limit)


def _promote(tx: Tx, queue: str, limit: int, *conditions: ColumnElement[Any]) -> int:
    jobs = tx.tables.jobs
    check_name("queue", queue)
    tx.begin()
    due = delayed(tx, queue).where(*conditions).limit(limit)
    seqs = tx.conn.scalars(tx.dialect.lock_rows(due)).all()
    if not seqs:
        return 0
    rouse(tx, queue)
    return tx.change(
        update(jobs)
        .where(jobs.c.seq.in_(seqs), in_state(jobs, JobState.DELAYED))
        .values(state=STATES[JobState.WAITING], delay_until=null())
    )


def delayed(tx: Tx, queue: str) -> Select[Any]:
    """Select the delayed jobs of a queue, those first that are due first."""
    jobs = tx.tables.jobs
    return (
        select(jobs.c.seq)
        .where(
            jobs.c.queue_name == queue,
            jobs.c.state == STATES[JobState.DELAYED],
            # Every delayed job has one; where the index is not partial, the others come first.
            jobs.c.delay_until.is_not(None),
        )
        .order_by(jobs.c.delay_until)
    )
