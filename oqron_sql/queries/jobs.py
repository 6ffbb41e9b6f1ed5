"""Single jobs: read, change, log, cancel, remove."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, bindparam, null, select, update

from oqron_sql.contract import codec
from oqron_sql.contract.checks import check_names
from oqron_sql.contract.events import EventType, StoreEvent
from oqron_sql.contract.model import CANCELLED, Job, JobState
from oqron_sql.errors import JobNotFound
from oqron_sql.queries import flows, history, metrics, tallies
from oqron_sql.queries.leases import lease_lost
from oqron_sql.queries.maintenance import remove_rows
from oqron_sql.queries.removing import doomed
from oqron_sql.queries.rows import in_state, job_columns, jobs_from_rows
from oqron_sql.queries.tx import Contended, Tx
from oqron_sql.queries.waking import report_surely
from oqron_sql.schema.tables import RESTING, STATES, Tables


def get_job(tx: Tx, queue: str, job_id: str) -> Job | None:
    """Return a copy of the job, or None."""
    check_names(queue=queue, job_id=job_id)
    params = {"job": job_id, "queue": queue}
    found = jobs_from_rows(tx, tx.conn.execute(_the_job(tx.tables), params).all())
    return found[0] if found else None


@functools.lru_cache(maxsize=64)
def _the_job(tables: Tables) -> Select[Any]:
    jobs = tables.jobs
    return select(*job_columns(jobs)).where(
        jobs.c.id == bindparam("job"), jobs.c.queue_name == bindparam("queue")
    )


def find_job_by_id(tx: Tx, job_id: str) -> Job | None:
    """Return the job of that id in any queue, or None."""
    check_names(job_id=job_id)
    jobs = tx.tables.jobs
    query = select(*job_columns(jobs)).where(jobs.c.id == job_id).limit(1)
    found = jobs_from_rows(tx, tx.conn.execute(query).all())
    return found[0] if found else None


def append_logs(
    tx: Tx, queue: str, job_id: str, lines: Sequence[str], *, lease: int | None = None
) -> None:
    """Add lines to the job's log."""
    check_names(queue=queue, job_id=job_id)
    jobs = tx.tables.jobs
    tx.begin()
    mine = (jobs.c.id == job_id, jobs.c.queue_name == queue)
    counted = update(jobs).where(*mine).values(entries=jobs.c.entries + len(lines))
    if lease is not None:
        counted = counted.where(jobs.c.lease == lease, jobs.c.locked_by.is_not(None))
    if tx.conn.execute(counted).rowcount == 0:
        if lease is None:
            raise JobNotFound(queue, job_id)
        raise lease_lost(tx, queue, job_id, lease)
    seq = tx.conn.execute(select(jobs.c.seq).where(*mine)).scalar_one()
    history.append(tx, [(seq, "log", codec.dumps(codec.clean_text(line))) for line in lines])


def remove_job(tx: Tx, queue: str, job_id: str) -> None:
    """Delete the job and tell its parent."""
    check_names(queue=queue, job_id=job_id)
    jobs = tx.tables.jobs
    tx.begin()
    query = doomed(jobs).where(jobs.c.id == job_id, jobs.c.queue_name == queue)
    rows = tx.conn.execute(tx.dialect.lock_rows(query, skip_locked=False)).all()
    if remove_rows(tx, rows):
        report_surely(tx, queue, job_id)


def cancel_job(tx: Tx, queue: str, job_id: str, *, unstarted: bool = False) -> bool:
    """Mark an active job as cancelled, or end one that has not begun."""
    check_names(queue=queue, job_id=job_id)
    if not (_mark_cancelled(tx, queue, job_id) or (unstarted and _cancel_now(tx, queue, job_id))):
        return False
    tx.emit(StoreEvent(type=EventType.JOB_CANCELLED, queue_name=queue, job_id=job_id))
    return True


def _mark_cancelled(tx: Tx, queue: str, job_id: str) -> bool:
    jobs = tx.tables.jobs
    mine = (jobs.c.id == job_id, jobs.c.queue_name == queue, in_state(jobs, JobState.ACTIVE))
    return tx.conn.execute(update(jobs).where(*mine).values(cancelled_at=tx.now())).rowcount == 1


def _cancel_now(tx: Tx, queue: str, job_id: str) -> bool:
    jobs = tx.tables.jobs
    tx.begin()
    query = doomed(jobs).where(jobs.c.id == job_id, jobs.c.queue_name == queue)
    row = tx.conn.execute(tx.dialect.lock_rows(query, skip_locked=False)).first()
    if row is None or row.state not in RESTING:
        return row is not None and _mark_cancelled(tx, queue, job_id)  # it has just begun
    _end_unstarted(tx, row)
    return True


def _end_unstarted(tx: Tx, row: Row[Any]) -> None:
    jobs = tx.tables.jobs
    values = {
        "state": STATES[JobState.FAILED],
        "failed_reason": CANCELLED,
        "failed_at": tx.now(),
        "cancelled_at": tx.now(),
        **dict.fromkeys(("delay_until", "lock_until", "locked_by", "dedup_slot"), null()),
    }
    guard = (jobs.c.seq == row.seq, in_state(jobs, JobState(row.state)))
    if tx.conn.execute(update(jobs).where(*guard).values(values)).rowcount == 0:
        raise Contended
    report_surely(tx, row.queue_name, row.id)
    tallies.add(tx, row.queue_name, JobState.FAILED, 1)
    metrics.record(tx, row.queue_name, [row.seq])
    flows.tell(tx, [flows.Child.of(row, CANCELLED)])
