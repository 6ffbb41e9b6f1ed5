"""Bugs in leases, and in what is acknowledged; each changes the product for this process."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, Complete, Job, JobState
from oqron_sql.contract import Settled
from oqron_sql.dialects import sqlite
from oqron_sql.queries import finishing, leases, saving
from oqron_sql.queries.rows import job_columns
from oqron_sql.queries.tx import INSTANT, Tx
from oqron_sql.schema.tables import STATES


def set_on(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)


# -- leases ----------------------------------------------------------------------------------------


def lease_is_not_counted() -> None:
    """A claim does not count up the number of the lease."""

    def claiming(claim: Any) -> Any:
        change = sa.update(claim.table).where(claim.table.c.seq.in_(claim.candidates))
        return change.values(dict(claim.values)).returning(*claim.returning)

    set_on(sqlite, "_claiming", claiming)


def finish_guarded_by(*guards: Callable[[sa.Table], sa.ColumnElement[bool]]) -> None:
    def finish(tables: Any, dialect: Any, *, mixed: bool, size: int) -> Any:
        jobs = tables.jobs
        batch = dialect.batch(finishing._MIXED if mixed else finishing._PLAIN, size)
        now = sa.type_coerce(dialect.later(dialect.span("now")), INSTANT)
        values = finishing._mixed(jobs, batch) if mixed else finishing._completed(batch, now)
        free = {"lock_until": sa.null(), "locked_by": sa.null()}
        mine = (jobs.c.seq == batch.c.seq, *(guard(jobs) for guard in guards))
        return sa.update(jobs).where(*mine).values({**free, **values})

    set_on(finishing, "_finish", finish)


def finish_by_owner() -> None:
    """A finish asks that the job is held, as by a worker of one's own name."""
    finish_guarded_by(lambda jobs: jobs.c.locked_by.is_not(None))


def finish_by_state() -> None:
    """A finish asks that the job is active."""
    finish_guarded_by(lambda jobs: jobs.c.state == STATES[JobState.ACTIVE])


def finish_by_id() -> None:
    """A finish asks for nothing but the job."""
    finish_guarded_by()


def extend_however_late() -> None:
    """A call that extends a lease, and was given up, can cut short what a later one was told."""

    def extending(tables: Any, seqs: Any) -> Any:
        jobs, until = tables.jobs, sa.bindparam("until", type_=INSTANT)
        mine = (jobs.c.seq.in_(seqs), jobs.c.locked_by.is_not(None))
        return sa.update(jobs).where(*mine).values(lock_until=until)

    def locking(tx: Tx, jobs: Any, duration: timedelta) -> Any:
        standing = leases._standing(tx, jobs).add_columns(tx.now(duration).label("until"))
        return tx.dialect.lock_rows(standing, skip_locked=False)  # and so it comes late

    set_on(leases, "_extending", extending)
    set_on(leases, "_locking", locking)


def extend_by_id() -> None:
    """A lease that was lost can be extended."""

    def extending(tables: Any, seqs: Any) -> Any:
        jobs, until = tables.jobs, sa.bindparam("until", type_=INSTANT)
        return sa.update(jobs).where(jobs.c.seq.in_(seqs)).values(lock_until=until)

    def is_held(job: Job, row: Any) -> bool:
        return row is not None

    set_on(leases, "_extending", extending)
    set_on(leases, "_is_held", is_held)


def claim_in_two_steps() -> None:
    """A claim looks for jobs first, and takes them after, whoever took them meanwhile."""

    def claim(self: Any, work: Any, claim: Any, params: Any) -> Any:
        keys = list(work.conn.scalars(claim.candidates, params))
        time.sleep(0.002)
        key = claim.table.c.seq
        values = {**claim.values, claim.bump.name: claim.bump + 1}
        taking = sa.update(claim.table).where(key.in_(keys)).values(values)
        return work.conn.execute(taking.returning(*claim.returning), params).all()

    set_on(sqlite.SQLite, "claim", claim)


def clock_of_the_client() -> None:
    """Instants come from the clients' clocks, which differ by seconds."""
    right, wrong = Tx.spans, timedelta(seconds=5 * (os.getpid() % 3))

    def spans(self: Tx, **asked: timedelta) -> dict[str, Any]:
        return right(self, **{name: span + wrong for name, span in asked.items()})

    set_on(Tx, "spans", spans)


def recovery_takes_all() -> None:
    """Recovery takes back whatever is active when somebody was lost, without a look at the lock."""

    def expired(tx: Tx, queue: str, limit: int) -> Any:
        jobs = tx.tables.jobs
        mine = (jobs.c.queue_name == queue, jobs.c.state == STATES[JobState.ACTIVE])
        return sa.select(*job_columns(jobs)).where(*mine).limit(limit)

    def take_back(tx: Tx, row: Any, max_lost: int) -> bool:
        jobs = tx.tables.jobs
        values = {"state": STATES[JobState.WAITING], "lost_count": jobs.c.lost_count + 1}
        taking = sa.update(jobs).where(jobs.c.seq == row.seq).values(values)
        return tx.conn.execute(taking).rowcount > 0

    set_on(leases, "expired", expired)
    set_on(leases, "_take_back", take_back)


# -- what is acknowledged --------------------------------------------------------------------------


def enqueue_acknowledged_early() -> None:
    """An enqueue is acknowledged before it is written."""
    right, writing = AsyncSQLStore.save_job, set()

    async def save_job(self: AsyncSQLStore, queue: str, job: Job) -> str:
        task = asyncio.ensure_future(right(self, queue, job))
        writing.add(task)
        return job.id

    set_on(AsyncSQLStore, "save_job", save_job)


def job_acknowledged_early() -> None:
    """A job is completed when it is fetched, before it is run."""
    right = AsyncSQLStore.fetch_jobs

    async def fetch_jobs(self: AsyncSQLStore, queue: str, *args: Any, **kwargs: Any) -> list[Job]:
        jobs = await right(self, queue, *args, **kwargs)
        await AsyncSQLStore.finish_jobs(self, queue, [Complete(j, [j.id, j.lease]) for j in jobs])
        return jobs

    set_on(AsyncSQLStore, "fetch_jobs", fetch_jobs)


def finish_forgotten() -> None:
    """One finish in five is acknowledged and not written."""
    right = AsyncSQLStore.finish_jobs

    async def finish_jobs(self: AsyncSQLStore, queue: str, outcomes: Any) -> list[Settled]:
        if random.random() < 0.2:
            return [Settled(o.job.id, o.job.lease, JobState.COMPLETED) for o in outcomes]
        return await right(self, queue, outcomes)

    set_on(AsyncSQLStore, "finish_jobs", finish_jobs)


def key_is_not_unique() -> None:
    """A deduplication key is looked for, and nothing keeps two from not finding it at once."""

    def save(tx: Tx, row: dict[str, Any], job: Job) -> tuple[str, bool]:
        jobs, key = tx.tables.jobs, row.get("dedup_slot")
        live = (jobs.c.deduplication_key == key, jobs.c.state.not_in(("completed", "failed")))
        found = tx.conn.scalar(sa.select(jobs.c.id).where(*live).limit(1))
        if key is not None and found is not None:
            return str(found), False
        time.sleep(0.005)
        tx.dialect.insert_ignore(tx, jobs, {**row, "dedup_slot": job.id})
        return job.id, True

    set_on(saving, "_save", save)
