"""Between a job as callers have it and the record that is kept; nothing is shared by the two."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from oqron_sql.contract import codec
from oqron_sql.contract.model import Job, JobState
from oqron_sql.errors import InvalidInput
from oqron_sql.memory.data import Record
from oqron_sql.memory.members import CHECKS
from oqron_sql.memory.operation import Operation

NULL = codec.dumps(None)
NEVER = datetime.min.replace(tzinfo=UTC)


def prepare(op: Operation, queue: str, job: Job) -> Record:
    """Return the record of a job that is to be saved in `queue`; nothing is written.

    Raises:
        InvalidInput: the job belongs to another queue, or a member cannot be stored.
    """
    kept = Job(**{name: check(name, getattr(job, name)) for name, check in CHECKS.items()})
    demand_own_queue(queue, job)
    if kept.created_at is None:
        kept.created_at = op.now
    if kept.state is JobState.DELAYED and kept.delay_until is None:
        kept.delay_until = op.after("delay", kept.opts.delay or timedelta(0))
    data, returnvalue = (codec.dumps(v, op.max_payload) for v in (job.data, job.returnvalue))
    return Record(kept, data, returnvalue)


def demand_own_queue(queue: str, job: Job) -> None:
    """Refuse a job of another queue.

    Raises:
        InvalidInput: it is one.
    """
    if job.queue_name != queue:
        raise InvalidInput("queue", queue, f"must be the job's own queue, {job.queue_name!r}")


def read(record: Record) -> Job:
    """Return the job, sharing nothing with the store."""
    job = record.job
    return dataclasses.replace(
        job,
        data=codec.loads(record.data),
        returnvalue=codec.loads(record.returnvalue),
        attempt_logs=tuple(dataclasses.replace(attempt) for attempt in job.attempt_logs),
    )


def read_all(records: Iterable[Record]) -> list[Job]:
    """Return the jobs in the order given."""
    return [read(record) for record in records]


def newest_first(records: Iterable[Record]) -> list[Record]:
    """Sort by creation, then by insertion, latest first."""
    return sorted(records, key=_age, reverse=True)


def oldest_first(records: Iterable[Record]) -> list[Record]:
    """Sort by creation, then by insertion, earliest first."""
    return sorted(records, key=_age)


def latest_end_first(records: Iterable[Record]) -> list[Record]:
    """Sort finished jobs by their end, latest first, and then by insertion."""
    by_insertion = sorted(records, key=lambda record: record.seq)
    return sorted(by_insertion, key=_end, reverse=True)


def _age(record: Record) -> tuple[datetime, int]:
    return record.job.created_at or NEVER, record.seq


def _end(record: Record) -> datetime:
    job = record.job
    return (job.completed_at if job.state is JobState.COMPLETED else job.failed_at) or NEVER
