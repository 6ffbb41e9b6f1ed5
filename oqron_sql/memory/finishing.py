"""How leased jobs end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, assert_never

from oqron_sql.contract import codec
from oqron_sql.contract.checks import check_duration, check_list, check_own_queue
from oqron_sql.contract.model import (
    FINISHED,
    AttemptRecord,
    Complete,
    Fail,
    Job,
    JobState,
    Outcome,
    Release,
    Retry,
    Settled,
)
from oqron_sql.memory import metering, retention
from oqron_sql.memory.changing import change
from oqron_sql.memory.data import Record
from oqron_sql.memory.holding import find_leased, is_held
from oqron_sql.memory.operation import Operation
from oqron_sql.memory.parents import tell_parents

Apply = Callable[[Operation, Record], None]


def finish_jobs(op: Operation, queue: str, outcomes: Sequence[Outcome]) -> list[Settled]:
    """Record how leased jobs ended; a stale lease changes nothing and is told."""
    prepared = [_prepare(op, queue, outcome) for outcome in check_list("outcomes", outcomes)]
    ended: list[Record] = []
    settled = [
        _settle(op, queue, outcome, apply, ended)
        for outcome, apply in zip(outcomes, prepared, strict=True)
    ]
    # Once every outcome is recorded: a parent's may be among them.
    tell_parents(op, [(record, record.job.failed_reason) for record in ended])
    for record in ended:  # at last, so that an outcome that is told twice is answered twice
        if op.find(queue, record.job.id) is record:
            retention.keep(op, record)
    return settled


def _settle(
    op: Operation, queue: str, outcome: Outcome, apply: Apply, ended: list[Record]
) -> Settled:
    job = outcome.job
    record = find_leased(op, queue, job)
    if record is None:
        return Settled(job.id, job.lease, None)
    if is_held(record, job.lease):
        apply(op, record)
        if record.job.state in FINISHED:
            ended.append(record)
    elif record.job.lease != job.lease or not _was_applied(record.job, outcome):
        return Settled(job.id, job.lease, None)
    return Settled(job.id, job.lease, record.job.state)


def _was_applied(job: Job, outcome: Outcome) -> bool:
    """Whether the job is as this outcome leaves it: its reply was lost, and it is told again."""
    match outcome:
        case Complete():
            return job.state is JobState.COMPLETED
        case Fail():
            return job.state is JobState.FAILED
        case Retry() | Release():
            attempts = outcome.job.attempts_made + isinstance(outcome, Retry)
            resting = job.state in (JobState.WAITING, JobState.DELAYED)
            return resting and job.attempts_made == attempts
        case _:
            assert_never(outcome)


def _prepare(op: Operation, queue: str, outcome: Outcome) -> Apply:
    """Check all of an outcome; return how it is applied, which cannot fail any more."""
    check_own_queue(queue, outcome.job.queue_name)
    match outcome:
        case Complete(returnvalue=value):
            text = codec.dumps(value, op.max_payload)
            return lambda op, record: _complete(op, record, text)
        case Fail(reason=reason, stacktrace=trace):
            failure = _Failure(reason, trace)
            return failure.end
        case Retry(reason=reason, delay=delay, stacktrace=trace):
            due = op.after("delay", check_duration("delay", delay)) if delay else None
            failure = _Failure(reason, trace)
            return lambda op, record: failure.retry(op, record, due)
        case Release():
            return lambda op, record: change(op, record, state=JobState.WAITING, delay_until=None)
        case _:
            assert_never(outcome)


def _complete(op: Operation, record: Record, returnvalue: str) -> None:
    record.returnvalue = returnvalue
    change(
        op,
        record,
        state=JobState.COMPLETED,
        completed_at=op.now,
        failed_reason=None,
        delay_until=None,
    )
    metering.note_end(op, record)


class _Failure:
    """A failed attempt, with texts that can be stored."""

    def __init__(self, reason: str, stacktrace: str | None) -> None:
        self.reason = codec.clean_text(str(reason))
        self.stacktrace = None if stacktrace is None else codec.clean_text(stacktrace)

    def end(self, op: Operation, record: Record) -> None:
        self._note(op, record, state=JobState.FAILED, failed_at=op.now, delay_until=None)
        metering.note_end(op, record)

    def retry(self, op: Operation, record: Record, due: datetime | None) -> None:
        state = JobState.WAITING if due is None else JobState.DELAYED
        self._note(op, record, state=state, delay_until=due)

    def _note(self, op: Operation, record: Record, **members: Any) -> None:
        job = record.job
        attempt = AttemptRecord(
            attempt=job.attempts_made + 1,
            started_at=job.processed_at,
            ended_at=op.now,
            status="failed",
            error=self.reason,
            stacktrace=self.stacktrace,
        )
        job.attempt_logs = (*job.attempt_logs, attempt)
        if self.stacktrace is not None:
            job.stacktrace = (*job.stacktrace, self.stacktrace)
        change(op, record, attempts_made=attempt.attempt, failed_reason=self.reason, **members)
