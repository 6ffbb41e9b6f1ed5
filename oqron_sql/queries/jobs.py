"""Single jobs: read, change, log, cancel, remove."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update

from oqron_sql.contract import codec
from oqron_sql.contract.checks import check_names
from oqron_sql.contract.events import EventType, StoreEvent
from oqron_sql.contract.model import Job, JobState
from oqron_sql.errors import JobNotFound
from oqron_sql.queries import history
from oqron_sql.queries.leases import lease_lost
from oqron_sql.queries.maintenance import remove_rows
from oqron_sql.queries.removing import doomed
from oqron_sql.queries.rows import in_state, job_columns, jobs_from_rows
from oqron_sql.queries.tx import Tx


def get_job(tx: Tx, queue: str, job_id: str) -> Job | None:
    """Return a copy of the job, or None."""
    check_names(queue=queue, job_id=job_id)
    jobs = tx.tables.jobs
    query = select(*job_columns(jobs)).where(jobs.c.id == job_id, jobs.c.queue_name == queue)
    found = jobs_from_rows(tx, tx.conn.execute(query).all())
    return found[0] if found else None


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
    remove_rows(tx, rows)


def cancel_job(tx: Tx, queue: str, job_id: str) -> bool:
    """Mark an active job as cancelled."""
    check_names(queue=queue, job_id=job_id)
    jobs = tx.tables.jobs
    marked = (
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.queue_name == queue, in_state(jobs, JobState.ACTIVE))
        .values(cancelled_at=tx.now())
    )
    if tx.conn.execute(marked).rowcount == 0:
        return False
    tx.emit(StoreEvent(type=EventType.JOB_CANCELLED, queue_name=queue, job_id=job_id))
    return True
