"""Who holds a lease: only its newest number, until the job is taken back, finished or released."""

from __future__ import annotations

from oqron_sql.contract.model import Job
from oqron_sql.errors import LeaseLost
from oqron_sql.memory.data import Record
from oqron_sql.memory.operation import Operation


def find_leased(op: Operation, queue: str, job: Job) -> Record | None:
    """Return the job that was leased, or None: the id may have been removed and saved anew."""
    record = op.find(queue, job.id)
    return record if record is not None and record.seq == job.seq else None


def is_held(record: Record, lease: int) -> bool:
    """Whether `lease` may still change the job; one that ran out may, until it is recovered."""
    job = record.job
    return job.locked_by is not None and job.lease == lease


def demand_lease(record: Record | None, queue: str, job_id: str, lease: int) -> None:
    """Refuse a lease that is not held.

    Raises:
        LeaseLost: it is not held, or the job is gone.
    """
    if record is None or not is_held(record, lease):
        raise LeaseLost(queue, job_id, lease, record.job.lease if record else None)
