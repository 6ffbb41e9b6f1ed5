"""Stores with one defect each, as real ones had, to see whether the kit finds it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from oqron_sql import MemoryStore
from oqron_sql.contract import (
    Complete,
    EventType,
    Extension,
    FetchOptions,
    Fired,
    Group,
    Job,
    JobState,
    JobUpdate,
    Outcome,
    Outlook,
    Recovered,
    Release,
    Retry,
    Settled,
    StoreEvent,
    codec,
    new_id,
)
from oqron_sql.contract import schedules as series
from oqron_sql.contract.options import ANY
from oqron_sql.errors import GroupFull

PAUSE = 0.01


class ClaimsLater(MemoryStore):
    """Chooses jobs first and marks them afterwards."""

    def fetch_jobs(
        self,
        queue: str,
        worker_id: str,
        lock_duration: timedelta,
        n: int,
        opts: FetchOptions = ANY,
    ) -> list[Job]:
        chosen = self.list_jobs(queue, JobState.WAITING, 0, n)
        time.sleep(PAUSE)
        until = datetime.now(UTC) + lock_duration
        for job in chosen:
            taken: JobUpdate = {"state": JobState.ACTIVE, "locked_by": worker_id}
            self.update_job(queue, job.id, {**taken, "lock_until": until})
        return chosen


class LooksBeforeSaving(MemoryStore):
    """Looks for the key, then saves; nothing holds the key."""

    def save_job(self, queue: str, job: Job) -> str:
        jobs = self.list_jobs(queue, JobState.WAITING)
        key = job.deduplication_key
        for other in jobs if key else []:
            if other.failed_reason == key:
                return other.id
        time.sleep(PAUSE)
        kept = dataclasses.replace(job, deduplication_key=None, failed_reason=key)
        return super().save_job(queue, kept)


class ChecksState(MemoryStore):
    """Lets whoever has an active job report it, by whatever lease."""

    def newest(self, queue: str, job: Job) -> Job:
        found = self.get_job(queue, job.id)
        return found if found and found.state is JobState.ACTIVE else job

    def finish_jobs(self, queue: str, outcomes: Sequence[Outcome]) -> list[Settled]:
        told = [dataclasses.replace(each, job=self.newest(queue, each.job)) for each in outcomes]
        return super().finish_jobs(queue, told)

    def extend_locks(self, queue: str, jobs: Sequence[Job], duration: timedelta) -> list[Extension]:
        return super().extend_locks(queue, [self.newest(queue, job) for job in jobs], duration)


class ChecksOwner(ChecksState):
    """Asks for the worker's name, which does not change with the lease."""

    def newest(self, queue: str, job: Job) -> Job:
        found = super().newest(queue, job)
        return found if found.locked_by == job.locked_by else job


class IgnoresLease(MemoryStore):
    """Takes a lease number and does not look at it."""

    def update_job(
        self,
        queue: str,
        job_id: str,
        updates: JobUpdate,
        *,
        expected_state: JobState | Sequence[JobState] | None = None,
        lease: int | None = None,
    ) -> None:
        super().update_job(queue, job_id, updates, expected_state=expected_state)


class CountsGroupsFirst(MemoryStore):
    """Counts the active jobs of each group first, and leases later."""

    def fetch_jobs(
        self,
        queue: str,
        worker_id: str,
        lock_duration: timedelta,
        n: int,
        opts: FetchOptions = ANY,
    ) -> list[Job]:
        cap = opts.group_concurrency
        if cap is not None:
            groups = {job.group_id or "" for job in self.list_jobs(queue, JobState.WAITING)}
            full = [g for g in groups if g and self.get_group_active_count(queue, g) >= cap]
            time.sleep(PAUSE)
            opts = dataclasses.replace(opts, group_concurrency=1000, exclude_groups=full)
        return super().fetch_jobs(queue, worker_id, lock_duration, n, opts)


class CountsQueueFirst(MemoryStore):
    """Counts the active jobs of the queue first, and leases later."""

    def fetch_jobs(
        self,
        queue: str,
        worker_id: str,
        lock_duration: timedelta,
        n: int,
        opts: FetchOptions = ANY,
    ) -> list[Job]:
        room = n if opts.max_active is None else opts.max_active - self.get_active_count(queue)
        time.sleep(PAUSE)
        opts = dataclasses.replace(opts, max_active=None)
        return super().fetch_jobs(queue, worker_id, lock_duration, max(0, min(n, room)), opts)


class RewritesLogs(MemoryStore):
    """Reads the log, adds to it, and writes all of it."""

    def append_logs(
        self, queue: str, job_id: str, lines: Sequence[str], *, lease: int | None = None
    ) -> None:
        found = self.get_job(queue, job_id)
        time.sleep(PAUSE)
        if found is not None:
            self.update_job(queue, job_id, {"logs": [*found.logs, *lines]}, lease=lease)


class SweepsUnconditionally(MemoryStore):
    """Lists the lost jobs, then puts each back whatever has become of it."""

    def recover_lost(self, queue: str, *, limit: int = 100, max_lost: int = 3) -> list[Recovered]:
        lost = self.get_stalled_jobs(queue, limit=limit)
        time.sleep(PAUSE)
        for job in lost:
            self.update_job(queue, job.id, {"state": JobState.WAITING})
        return [
            Recovered(job.id, queue, JobState.WAITING, job.lease, 1, job.locked_by) for job in lost
        ]


class TellsNoParent(MemoryStore):
    """Ends jobs one by one and leaves it to the caller to tell their parents."""

    def finish_jobs(self, queue: str, outcomes: Sequence[Outcome]) -> list[Settled]:
        told = []
        for each in outcomes:
            state = JobState.COMPLETED if isinstance(each, Complete) else JobState.FAILED
            self.update_job(queue, each.job.id, {"state": state})
            told.append(Settled(each.job.id, each.job.lease, state))
        return told


class RevivesParents(MemoryStore):
    """Counts children down in whatever state the parent is."""

    def notify_child_completed(
        self, parent_queue: str, parent_id: str, *, child_id: str | None = None
    ) -> JobState:
        if self.get_job(parent_queue, parent_id) is None:
            return JobState.COMPLETED
        self.update_job(parent_queue, parent_id, {"state": JobState.WAITING})
        return JobState.WAITING


class FoldsCase(MemoryStore):
    """Has a collation for which A is a."""

    def save_bulk(self, queue: str, jobs: Sequence[Job]) -> list[str]:
        folded = [
            dataclasses.replace(job, deduplication_key=(job.deduplication_key or "").casefold())
            for job in jobs
        ]
        return super().save_bulk(queue, folded)


class RoundsToSeconds(MemoryStore):
    """Has columns without fractions of a second."""

    def list_jobs(self, queue: str, state: JobState, start: int = 0, end: int = 100) -> list[Job]:
        found = super().list_jobs(queue, state, start, end)
        for job in found:
            for field in dataclasses.fields(job):
                value = getattr(job, field.name)
                if isinstance(value, datetime):
                    setattr(job, field.name, value.replace(microsecond=0))
        return found


class ParsesTwice(MemoryStore):
    """Parses what it has parsed already."""

    def list_jobs(self, queue: str, state: JobState, start: int = 0, end: int = 100) -> list[Job]:
        found = super().list_jobs(queue, state, start, end)
        for job in found:
            job.returnvalue = parsed(job.returnvalue)
        return found


def parsed(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


class SavesOneByOne(MemoryStore):
    """Makes a bulk of single saves."""

    def save_bulk(self, queue: str, jobs: Sequence[Job]) -> list[str]:
        return [self.save_job(queue, job) for job in jobs]


class TellsBeforehand(MemoryStore):
    """Publishes what it is about to do."""

    def cancel_job(self, queue: str, job_id: str, *, unstarted: bool = False) -> bool:
        event = StoreEvent(type=EventType.JOB_CANCELLED, queue_name=queue, job_id=job_id)
        self.publish(event)
        return super().cancel_job(queue, job_id, unstarted=unstarted)


class LooksBeforeObliterating(MemoryStore):
    """Looks for active jobs, and deletes everything a little later."""

    def obliterate(self, queue: str, *, force: bool = False) -> None:
        if force or not self.get_active_count(queue):
            time.sleep(PAUSE)
            super().obliterate(queue, force=True)


class CountsAgain(MemoryStore):
    """Counts an end whenever it is written, and again when it is told again."""

    def finish_jobs(self, queue: str, outcomes: Sequence[Outcome]) -> list[Settled]:
        for each in outcomes:
            found = self.get_job(queue, each.job.id)
            if found is not None and found.state is JobState.COMPLETED:
                self.update_job(queue, found.id, {"state": JobState.WAITING})
                self.update_job(queue, found.id, {"state": JobState.COMPLETED})
        return super().finish_jobs(queue, outcomes)


class ServesByAge(MemoryStore):
    """Goes by created_at, which anybody may set."""

    def fetch_next_job(
        self, queue: str, worker_id: str, lock_duration: timedelta, opts: FetchOptions = ANY
    ) -> Job | None:
        oldest = self.list_jobs(queue, JobState.WAITING, 0, 1)
        named = dataclasses.replace(opts, job_name=oldest[0].name) if oldest else opts
        return super().fetch_next_job(queue, worker_id, lock_duration, named)


class RetriesWhatWasReleased(MemoryStore):
    """Takes a release for a failure."""

    def finish_jobs(self, queue: str, outcomes: Sequence[Outcome]) -> list[Settled]:
        made = [Retry(o.job, "released") if isinstance(o, Release) else o for o in outcomes]
        return super().finish_jobs(queue, made)


class ExtendsToLook(MemoryStore):
    """Extends locks when it was only to look at them."""

    def check_locks(self, queue: str, jobs: Sequence[Job]) -> list[Extension]:
        return self.extend_locks(queue, jobs, timedelta(hours=5))


class SeesWhatIsPaused(MemoryStore):
    """Says that a job waits which nobody may run."""

    def get_outlook(self, queue: str) -> Outlook:
        waiting = bool(self.count_jobs(queue, JobState.WAITING))
        return dataclasses.replace(super().get_outlook(queue), waiting=waiting)


class RemovesByAge(MemoryStore):
    """Removes everything that ended some time ago, whatever it asks for."""

    def remove_expired(self, queue: str, *, limit: int = 1000) -> int:
        return sum(
            self.clean(queue, state, timedelta(seconds=30), limit=limit)
            for state in (JobState.COMPLETED, JobState.FAILED)
        )


class CancelsQuietly(MemoryStore):
    """Ends a job that has not begun and tells no parent."""

    def cancel_job(self, queue: str, job_id: str, *, unstarted: bool = False) -> bool:
        job = self.get_job(queue, job_id)
        if unstarted and job is not None and job.state is JobState.WAITING:
            failed: JobUpdate = {"state": JobState.FAILED, "failed_reason": "Job cancelled"}
            self.update_job(queue, job_id, failed)
            return True
        return super().cancel_job(queue, job_id, unstarted=unstarted)


class CountsGroupsBeforeSaving(MemoryStore):
    """Counts who waits in a group, and saves a little later."""

    def save_job(self, queue: str, job: Job) -> str:
        group = job.opts.group
        if group is not None and group.max_size is not None:
            waiting = self.get_waiting_group_count(queue, group.id)
            if waiting >= group.max_size:
                raise GroupFull(queue, group.id, group.max_size)
            time.sleep(PAUSE)
            plain = dataclasses.replace(job.opts, group=Group(id=group.id))
            job = dataclasses.replace(job, opts=plain)
        return super().save_job(queue, job)


class FiresAfterLooking(MemoryStore):
    """Looks for slots that are due, saves their jobs, and moves the series on at last."""

    def fire_schedules(self, queue: str, *, limit: int = 100) -> list[Fired]:
        due = self.run(lambda op: [each.key for each in op.queue(queue).schedules.values()])
        made = []
        for schedule in filter(None, (self.get_schedule(queue, key) for key in due)):
            time.sleep(PAUSE / 10)
            slots, done = series.turned(schedule, datetime.now(UTC) + self.clock.offset, limit)
            for slot in slots:
                job = dataclasses.replace(series.job_at(schedule, slot), id=new_id())
                made.append(Fired(schedule.key, slot, self.save_job(queue, job)))
            self.data.queues[queue].schedules[schedule.key] = dataclasses.replace(
                done, data=codec.dumps(done.data)
            )
        return made
