"""A store that writes down what it is asked and what it answers, and dies where it is told to.

A failpoint is an operation and a moment in it: `claim.before` it is sent, `claim.mid` once its
first statement has been executed, `claim.after` its answer is known and before anybody hears it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, Job
from oqron_sql.contract import (
    Complete,
    Extension,
    Fail,
    FetchOptions,
    Outcome,
    Recovered,
    Release,
    Retry,
    Schedule,
    Settled,
)
from oqron_sql.contract.options import ANY
from oqron_sql.contract.schedules import Fired
from oqron_sql.errors import StoreUnavailable
from tests.faults.history import Journal, now

R = TypeVar("R")
OPERATIONS = ("enqueue", "claim", "extend", "finish", "recover")
MOMENTS = ("before", "mid", "after")
WORKING = [f"{what}.{when}" for what in OPERATIONS[1:] for when in MOMENTS]
WORKING += ["handler.before", "handler.after"]
ENQUEUEING = [f"enqueue.{when}" for when in MOMENTS]
CONSUMING = [f"{what}.{when}" for what in ("claim", "extend", "finish") for when in MOMENTS]


class Doom:
    """Where this process is to be killed, and at which pass."""

    def __init__(self, point: str | None = None, passes: int = 1) -> None:
        self._point, self._passes = point, passes
        self._under_way: str | None = None

    def pass_by(self, point: str) -> None:
        if point == self._point:
            self._passes -= 1
            if self._passes <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    async def around(self, operation: str, call: Awaitable[R]) -> R:
        """Await an operation, passing by its three failpoints."""
        self.pass_by(f"{operation}.before")
        self._under_way = operation
        try:
            result = await call
        finally:
            self._under_way = None
        self.pass_by(f"{operation}.after")
        return result

    def executed(self, *_: Any) -> None:
        """A statement was executed; what it did may not be committed."""
        if self._under_way is not None:
            self.pass_by(f"{self._under_way}.mid")


class RecordedStore(AsyncSQLStore):
    """The store, and what was asked of it; one journal and one doom for the whole process."""

    journal: Journal
    doom = Doom()
    space = ""

    async def connect(self) -> None:
        engine = self._shell.source.engine
        executed = RecordedStore.doom.executed
        if engine is not None and not sa.event.contains(engine, "after_cursor_execute", executed):
            sa.event.listen(engine, "after_cursor_execute", executed)
        await self.doom.around("migrate", super().connect())

    async def save_job(self, queue: str, job: Job) -> str:
        (saved,) = await self._enqueue([job], super().save_job(queue, job))
        return saved

    async def save_bulk(self, queue: str, jobs: Sequence[Job]) -> list[str]:
        return await self._enqueue(jobs, super().save_bulk(queue, jobs))

    async def _enqueue(self, jobs: Sequence[Job], call: Awaitable[str | list[str]]) -> list[str]:
        for job in jobs:
            self.journal.write("enqueueing", job=job.id, key=job.deduplication_key)
        try:
            saved = await self.doom.around("enqueue", call)
        except StoreUnavailable:
            self.journal.write("refused")  # for whoever wants to see that something was broken
            raise
        ids = [saved] if isinstance(saved, str) else saved
        for job, id_ in zip(jobs, ids, strict=True):
            self.journal.write("enqueued", job=id_, key=job.deduplication_key, asked=job.id)
        return ids

    async def fetch_jobs(
        self,
        queue: str,
        worker_id: str,
        lock_duration: timedelta,
        n: int,
        opts: FetchOptions = ANY,
    ) -> list[Job]:
        asked = now()
        call = super().fetch_jobs(queue, worker_id, lock_duration, n, opts)
        jobs = await self.doom.around("claim", call)
        for job in jobs:
            self.journal.write(
                "claimed",
                **_lease(job),
                since=_seconds(job.processed_at),
                until=_seconds(job.lock_until),
                asked=asked,
                valid=asked + lock_duration.total_seconds(),
                group=job.group_id,
                space=f"{self.space}/{queue}",
                home=job.data.get("home"),
            )
        return jobs

    async def extend_locks(
        self, queue: str, jobs: Sequence[Job], duration: timedelta
    ) -> list[Extension]:
        valid = now() + duration.total_seconds()
        call = super().extend_locks(queue, jobs, duration)
        extensions = await self.doom.around("extend", call)
        for each in extensions:
            if each.lock_until is not None and not each.skipped:
                facts = {"until": _seconds(each.lock_until), "valid": valid}
                self.journal.write("extended", job=each.job_id, lease=each.lease, **facts)
        return extensions

    async def finish_jobs(self, queue: str, outcomes: Sequence[Outcome]) -> list[Settled]:
        for outcome in outcomes:
            self.journal.write("finishing", **_lease(outcome.job), state=_STATES[type(outcome)])
        settled = await self.doom.around("finish", super().finish_jobs(queue, outcomes))
        for each in settled:
            self.journal.write("finished", job=each.job_id, lease=each.lease, state=each.state)
        return settled

    async def recover_lost(
        self, queue: str, *, limit: int = 100, max_lost: int = 3
    ) -> list[Recovered]:
        call = super().recover_lost(queue, limit=limit, max_lost=max_lost)
        recovered = await self.doom.around("recover", call)
        for each in recovered:
            self.journal.write("recovered", job=each.job_id, lease=each.lease)
        return recovered

    async def put_schedule(self, queue: str, schedule: Schedule) -> Schedule:
        self.journal.write("putting", key=schedule.key)
        return await super().put_schedule(queue, schedule)

    async def fire_schedules(self, queue: str, *, limit: int = 100) -> list[Fired]:
        fired = await self.doom.around("fire", super().fire_schedules(queue, limit=limit))
        for key, slot, id_ in fired:
            self.journal.write("fired", key=key, slot=slot.timestamp(), job=id_)
        return fired


_STATES = {Complete: "completed", Fail: "failed", Retry: "delayed", Release: "waiting"}


def _lease(job: Job) -> dict[str, Any]:
    return {"job": job.id, "lease": job.lease}


def _seconds(instant: datetime | None) -> float:
    assert instant is not None
    return instant.timestamp()
