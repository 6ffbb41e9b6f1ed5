"""Finding jobs for people; these read many rows."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, false, func, select

from oqron_sql.contract.checks import can_be_asked, check_count, check_instant, check_name
from oqron_sql.contract.model import (
    EVERYTHING,
    Job,
    SearchFilter,
    SearchResult,
    check_state,
)
from oqron_sql.queries.rows import job_columns, jobs_from_rows
from oqron_sql.queries.tx import Tx


def search_by_payload(tx: Tx, queue: str, text: str, limit: int = 50) -> list[Job]:
    """Return jobs whose payload's JSON contains `text`, whatever its case."""
    jobs = tx.tables.jobs
    check_name("queue", queue)
    return _newest(tx, limit, [jobs.c.queue_name == queue, contains(jobs.c.data, text)])


def search_by_name(tx: Tx, text: str, queue: str | None = None, limit: int = 50) -> list[Job]:
    """Return jobs whose name contains `text`, whatever its case."""
    jobs = tx.tables.jobs
    conditions = [contains(jobs.c.name, text)]
    if queue is not None:
        conditions.append(jobs.c.queue_name == check_name("queue", queue))
    return _newest(tx, limit, conditions)


def search_jobs(
    tx: Tx, filter: SearchFilter = EVERYTHING, start: int = 0, end: int = 50
) -> SearchResult:
    """Return one page of the jobs that match, and their total."""
    jobs = tx.tables.jobs
    check_count("start", start)
    conditions: list[ColumnElement[bool]] = []
    if filter.queue_name:
        conditions.append(jobs.c.queue_name == check_name("queue_name", filter.queue_name))
    if filter.states:
        conditions.append(
            jobs.c.state.in_([check_state("states", state).value for state in filter.states])
        )
    if filter.name:
        conditions.append(contains(jobs.c.name, filter.name))
    if filter.created_after is not None:
        since = check_instant("created_after", filter.created_after)
        conditions.append(jobs.c.created_at >= since)
    if filter.created_before is not None:
        until = check_instant("created_before", filter.created_before)
        conditions.append(jobs.c.created_at <= until)
    total = tx.conn.scalar(select(func.count()).select_from(jobs).where(*conditions)) or 0
    if end <= start:
        return SearchResult([], total)
    page = _ordered(tx, conditions).offset(start).limit(end - start)
    return SearchResult(jobs_from_rows(tx, tx.conn.execute(page).all()), total)


def contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Return the condition that `column` contains `text`, whatever its case; no wildcards."""
    if not can_be_asked(text):
        return false()
    return column.icontains(text, autoescape=True)


def _newest(tx: Tx, limit: int, conditions: list[ColumnElement[bool]]) -> list[Job]:
    query = _ordered(tx, conditions).limit(check_count("limit", limit))
    return jobs_from_rows(tx, tx.conn.execute(query).all())


def _ordered(tx: Tx, conditions: list[ColumnElement[bool]]) -> Select[tuple[object, ...]]:
    jobs = tx.tables.jobs
    query = select(*job_columns(jobs)).where(*conditions)
    return query.order_by(jobs.c.created_at.desc(), jobs.c.seq.desc())
