"""Between a job as callers have it and the record that is kept; nothing is shared by the two."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from oqron_sql.contract import codec
from oqron_sql.contract.checks import check_own_queue
from oqron_sql.contract.model import LIVE, AttemptRecord, Job, JobState
from oqron_sql.memory.data import Record
from oqron_sql.memory.members import CHECKS
from oqron_sql.memory.operation import Operation

ENDED_AT = {JobState.COMPLETED: "completed_at", JobState.FAILED: "failed_at"}
NULL = codec.dumps(None)
NEVER = datetime.min.replace(tzinfo=UTC)


def prepare(op: Operation, queue: str, job: Job) -> Record:
    """Return the record of a job that is to be saved in `queue`; nothing is written.

    Raises:
        InvalidInput: the job belongs to another queue, or a member cannot be stored.
    """
    kept = Job(**{name: check(name, getattr(job, name)) for name, check in CHECKS.items()})
    check_own_queue(queue, job.queue_name)
    if kept.created_at is None:
        kept.created_at = op.now
    if kept.state is JobState.DELAYED and kept.delay_until is None:
        kept.delay_until = op.after("delay", kept.opts.delay or timedelta(0))
    data, returnvalue = (codec.dumps(v, op.max_payload) for v in (job.data, job.returnvalue))
    ttl = kept.opts.deduplication.ttl if kept.opts.deduplication else None
    holds = kept.created_at + ttl if ttl is not None and kept.state in LIVE else None
    return Record(kept, data, returnvalue, dedup_until=holds)


def read(record: Record) -> Job:
    """Return the job, sharing nothing with the store."""
    job = record.job
    return dataclasses.replace(
        job,
        data=codec.loads(record.data),
        returnvalue=codec.loads(record.returnvalue),
        attempt_logs=tuple(dataclasses.replace(attempt) for attempt in attempts(job)),
    )


def attempts(job: Job) -> Sequence[AttemptRecord]:
    """Return every attempt; of one that completed, the members of the job tell."""
    if job.state is not JobState.COMPLETED or job.processed_at is None or not job.lease:
        return job.attempt_logs
    last = AttemptRecord(
        attempt=job.attempts_made + 1,
        started_at=job.processed_at,
        ended_at=job.completed_at,
        status="completed",
    )
    known = {(each.attempt, each.status, each.started_at) for each in job.attempt_logs}
    told = (last.attempt, last.status, last.started_at) in known
    return job.attempt_logs if told else (*job.attempt_logs, last)


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
    """Sort finished jobs by their end, then by insertion, latest first."""
    return sorted(records, key=_end, reverse=True)


def _age(record: Record) -> tuple[datetime, int]:
    return record.job.created_at or NEVER, record.seq


def _end(record: Record) -> tuple[datetime, int]:
    return getattr(record.job, ENDED_AT[record.job.state]) or NEVER, record.seq
