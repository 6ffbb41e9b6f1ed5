"""How many jobs are where, and which."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, and_, func, select

from oqron_sql.contract.checks import check_count, check_names
from oqron_sql.contract.model import FINISHED, LIVE, Job, JobState, check_state
from oqron_sql.queries import tallies
from oqron_sql.queries.rows import job_columns, jobs_from_rows
from oqron_sql.queries.tx import Tx
from oqron_sql.schema.tables import RESTING, STATES


def count_active(tx: Tx, queue: str) -> int:
    """Count the active jobs."""
    check_names(queue=queue)
    # Limits rest on it.
    return tx.conn.scalar(tx.current(_counted(tx, queue, JobState.ACTIVE))) or 0


def count_jobs(tx: Tx, queue: str, state: JobState) -> int:
    """Count the jobs in one state; the finished ones without reading them."""
    check_names(queue=queue)
    state = check_state("state", state)
    if state in FINISHED:
        return tallies.read(tx, queue)[state]
    return _count(tx, queue, state)


def get_job_counts(tx: Tx, queue: str) -> dict[JobState, int]:
    """Count the jobs in each of the six states."""
    check_names(queue=queue)
    # In one statement: between two, a job that changes its state could be missed by both.
    live = [state for state in JobState if state in LIVE]
    query = select(*(_counted(tx, queue, state).scalar_subquery() for state in live))
    counts = dict(zip(live, tx.conn.execute(query).one(), strict=True))
    # Afterwards, so that one that ends meanwhile is counted twice rather than not at all.
    counts |= tallies.read(tx, queue)
    return {state: counts[state] for state in JobState}


def list_jobs(tx: Tx, queue: str, state: JobState, start: int = 0, end: int = 100) -> list[Job]:
    """Return the slice [start, end) of the jobs in a state."""
    check_names(queue=queue)
    check_count("start", start)
    if end <= start:
        return []
    page = listed(tx, queue, check_state("state", state)).offset(start).limit(end - start)
    return jobs_from_rows(tx, tx.conn.execute(page).all())


def listed(tx: Tx, queue: str, state: JobState) -> Select[tuple[object, ...]]:
    """Select the jobs in a state in the order of a list; an index has each of these orders."""
    jobs = tx.tables.jobs
    query = select(*job_columns(jobs)).where(all_in(tx, queue, state))
    if state is JobState.COMPLETED:
        return query.order_by(jobs.c.completed_at.desc(), jobs.c.seq.desc())
    if state is JobState.FAILED:
        return query.order_by(jobs.c.failed_at.desc(), jobs.c.seq.desc())
    return query.order_by(jobs.c.created_at, jobs.c.seq)


def _count(tx: Tx, queue: str, state: JobState) -> int:
    return tx.conn.scalar(_counted(tx, queue, state)) or 0


def _counted(tx: Tx, queue: str, state: JobState) -> Select[int]:
    return select(func.count()).select_from(tx.tables.jobs).where(all_in(tx, queue, state))


def all_in(tx: Tx, queue: str, state: JobState) -> ColumnElement[bool]:
    """Return the condition that a job is one of those of a queue in a state."""
    jobs = tx.tables.jobs
    condition = and_(jobs.c.queue_name == queue, jobs.c.state == STATES[state])
    if state in RESTING:
        # SQLite uses a partial index only for a query that says its very condition.
        condition &= jobs.c.state.in_([STATES[resting] for resting in RESTING])
    return condition
