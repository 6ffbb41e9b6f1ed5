"""What `doctor` looks at in each queue, and what it makes of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta

from oqron_sql.cli.database import Database
from oqron_sql.cli.messages import plural
from oqron_sql.cli.printing import show_span
from oqron_sql.contract import AsyncStore, Job, JobState, QueueInfo, Schedule
from oqron_sql.dialects import Finding

PATIENCE = timedelta(minutes=1)
"""So long a lease may be over, or a delayed job due, before it is said that nobody cares."""
LOOKED_AT = 20
LISTED = 10_000
WHOLE_QUEUE = "__all__"


@dataclasses.dataclass(frozen=True, slots=True)
class QueueHealth:
    """One queue; spans of time are by the database's clock, and None where there is no such job.

    `oldest_waiting` is how long the oldest waiting job could have been run. `lost` counts leases
    that ran out, of which the first did so `lost_for` ago. `overdue` is how late the first delayed
    job is.
    """

    name: str
    waiting: int
    active: int
    delayed: int
    failed: int
    paused: bool
    paused_names: list[str]
    oldest_waiting: timedelta | None
    lost: int
    lost_for: timedelta | None
    overdue: timedelta | None


async def look_at(store: AsyncStore, info: QueueInfo, now: datetime) -> QueueHealth:
    """Ask about one queue; what is over by now is told at `now`."""
    paused = await store.get_paused_job_names(info.name)
    oldest = await store.list_jobs(info.name, JobState.WAITING, 0, LOOKED_AT)
    lost = await store.get_stalled_jobs(info.name)
    due = await store.get_next_delayed_timestamp(info.name)
    ends = [job.lock_until for job in lost if job.lock_until is not None]
    return QueueHealth(
        name=info.name,
        waiting=info.counts[JobState.WAITING],
        active=info.counts[JobState.ACTIVE],
        delayed=info.counts[JobState.DELAYED],
        failed=info.counts[JobState.FAILED],
        paused=info.is_paused,
        paused_names=[name for name in paused if name != WHOLE_QUEUE],
        oldest_waiting=max((now - _ready(job, now) for job in oldest), default=None),
        lost=len(lost),
        lost_for=max((now - end for end in ends), default=None),
        overdue=now - due if due is not None and due < now else None,
    )


def _ready(job: Job, now: datetime) -> datetime:
    """Return since when a waiting job could have been run, as far as it tells."""
    since = (job.created_at or now) + (job.opts.delay or timedelta(0))
    return max(since, job.processed_at or since)


def judge(queue: QueueHealth, max_wait: timedelta, database: Database) -> Iterator[Finding]:
    """Yield what is wrong with a queue, and what to do."""
    about = f"queue {queue.name!r}"
    if queue.paused or queue.paused_names:
        yield _paused(queue, about, database)
    if queue.lost_for is not None and queue.lost_for > PATIENCE:
        yield Finding(
            about,
            f"{plural(queue.lost, 'lease')} ran out, the first {show_span(queue.lost_for)} ago, "
            "and nobody took the jobs back: their workers have gone",
            "Start a worker for this queue; it takes them back by itself.",
        )
    if queue.overdue is not None and queue.overdue > PATIENCE and not queue.paused:
        yield Finding(
            about,
            f"a delayed job has been due for {show_span(queue.overdue)}",
            "Start a worker for this queue; it promotes them. "
            f"{database.advise('jobs promote', '--all', queue=queue.name)} does it at once.",
        )
    waits = queue.oldest_waiting
    if waits is not None and waits > max_wait and not queue.paused:
        yield Finding(
            about,
            f"a job has been waiting for {show_span(waits)}",
            "Add workers, or see whether jobs of its priority are always passed over."
            if queue.active
            else "Nobody works on this queue: start a worker, or see why it takes none.",
        )


async def judge_schedules(store: AsyncStore, now: datetime) -> list[Finding]:
    """Return what is wrong with schedules: that they cannot be read, or that nobody fires them."""
    found = await store.list_schedules(None, 0, LISTED)
    return [finding for each in found for finding in _judge_schedule(each, now)]


def _judge_schedule(schedule: Schedule, now: datetime) -> Iterator[Finding]:
    about = f"schedule {schedule.key!r} of queue {schedule.queue_name!r}"
    if schedule.error is not None:
        yield Finding(
            about,
            f"cannot be read on this machine: {schedule.error}",
            "Workers like this do not fire it. Bring the package and the time zones of the machine "
            "up to date (`pip install -U tzdata`), put the schedule anew, or remove it.",
        )
    if schedule.next_slot is not None and now - schedule.next_slot > PATIENCE:
        yield Finding(
            about,
            f"has been due for {show_span(now - schedule.next_slot)}",
            "Start a worker for this queue, or a scheduler: they fire it.",
        )


def _paused(queue: QueueHealth, about: str, database: Database) -> Finding:
    names = ", ".join(map(repr, queue.paused_names))
    by_name = [] if queue.paused else ["--name", queue.paused_names[0]]
    return Finding(
        about,
        "is paused" if queue.paused else f"has paused job names: {names}",
        f"If that is over: {database.advise('resume', *by_name, queue=queue.name)}.",
        serious=False,
    )
