"""How many jobs are where, and which."""

from __future__ import annotations

from datetime import datetime

from oqron_sql.contract.checks import check_count
from oqron_sql.contract.durations import time_until
from oqron_sql.contract.model import FINISHED, LIVE, Job, JobState, Outlook, QueueInfo
from oqron_sql.contract.options import ANY
from oqron_sql.memory import records, retention, turns
from oqron_sql.memory.data import QueueData
from oqron_sql.memory.delaying import get_next_delayed_timestamp
from oqron_sql.memory.members import check_state
from oqron_sql.memory.operation import Operation
from oqron_sql.memory.recovering import get_stalled_jobs
from oqron_sql.memory.scheduling import next_slot


def get_outlook(op: Operation, queue: str) -> Outlook:
    """Say what there is to do."""
    state = op.queue(queue)
    due, fires = get_next_delayed_timestamp(op, queue), next_slot(op, queue)
    waiting = state.waiting(lifo=False)
    return Outlook(
        waiting=not state.paused and any(turns.is_wanted(state, record, ANY) for record in waiting),
        due_in=time_until(due, op.now),
        lost=bool(get_stalled_jobs(op, queue, limit=1)),
        expired=retention.expired(op, state) is not None,
        fires_in=time_until(fires, op.now),
    )


def get_active_count(op: Operation, queue: str) -> int:
    """Count the active jobs."""
    return count_jobs(op, queue, JobState.ACTIVE)


def count_jobs(op: Operation, queue: str, state: JobState) -> int:
    """Count the jobs in one state."""
    return len(op.queue(queue).states[check_state("state", state)])


def get_job_counts(op: Operation, queue: str) -> dict[JobState, int]:
    """Count the jobs in each of the six states."""
    return _counts(op.queue(queue))


def list_jobs(
    op: Operation, queue: str, state: JobState, start: int = 0, end: int = 100
) -> list[Job]:
    """Return a slice of the jobs in a state."""
    check_count("start", start)
    state = check_state("state", state)
    found = op.queue(queue).states[state].values()
    in_order = records.latest_end_first if state in FINISHED else records.oldest_first
    return records.read_all(in_order(found)[start : max(start, end)])


def list_queues(op: Operation) -> list[QueueInfo]:
    """Return every queue that has a job, by name."""
    return [_info(name, queue) for name, queue in sorted(op.data.queues.items()) if queue.jobs]


def _counts(queue: QueueData) -> dict[JobState, int]:
    return {state: len(queue.states[state]) for state in JobState}


def _info(name: str, queue: QueueData) -> QueueInfo:
    jobs = [record.job for record in queue.jobs.values()]
    return QueueInfo(
        name=name,
        counts=_counts(queue),
        is_paused=queue.paused,
        latest_activity=max(
            (instant for job in jobs for instant in _activity(job)),
            default=None,  # of jobs that were saved as ended, nobody knows when
        ),
        scheduled_count=sum(each.next_slot is not None for each in queue.schedules.values())
        + sum(job.state in LIVE and job.opts.repeat is not None for job in jobs),
    )


def _activity(job: Job) -> list[datetime]:
    ended = records.ENDED_AT.get(job.state)
    instants = (getattr(job, ended),) if ended else (job.created_at, job.processed_at)
    return [instant for instant in instants if instant is not None]
