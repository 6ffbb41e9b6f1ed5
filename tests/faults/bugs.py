"""Bugs that are planted in the processes of a run, to see whether the checks find them.

Each is one that queues were shipped with, or nearly. The product knows nothing of them: a process
that is told to have one changes the product's functions for itself.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, Complete, Job, JobState
from oqron_sql.contract import Extension, Settled
from oqron_sql.dialects import Dialect, sqlite
from oqron_sql.queries import fetch, finishing, groups, leases, locks, saving, schedules
from oqron_sql.queries.rows import in_state, job_columns
from oqron_sql.queries.tx import INSTANT, Tx
from oqron_sql.redis import AsyncRedisBroker
from oqron_sql.schema.tables import STATES


@dataclasses.dataclass(frozen=True, slots=True)
class Bug:
    """What is wrong, in which run it shows, and which check is to find it."""

    name: str
    plant: Callable[[], None]
    fault: str
    check: str
    stage: str = "sqlite-thread"

    @property
    def about(self) -> str:
        return (self.plant.__doc__ or "").strip()


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


def finish_by_id() -> None:
    """A finish asks for nothing but the job."""
    finish_guarded_by()


def extend_by_id() -> None:
    """A lease that was lost can be extended."""

    def extending(tables: Any, dialect: Any, size: int) -> Any:
        jobs, batch = tables.jobs, dialect.batch(leases.LEASE, size)
        later = sa.type_coerce(dialect.later(dialect.span("lock")), INSTANT)
        return sa.update(jobs).where(jobs.c.seq == batch.c.seq).values(lock_until=later)

    def extension(job: Job, row: Any) -> Extension:
        until = None if row is None else row.lock_until
        return Extension(job.id, job.lease, until)

    set_on(leases, "_extending", extending)
    set_on(leases, "_extension", extension)


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

    def save(tx: Tx, row: dict[str, Any], job: Job) -> str:
        jobs, key = tx.tables.jobs, row.get("dedup_slot")
        live = (jobs.c.deduplication_key == key, jobs.c.state.not_in(("completed", "failed")))
        found = tx.conn.scalar(sa.select(jobs.c.id).where(*live).limit(1))
        if key is not None and found is not None:
            return str(found)
        time.sleep(0.005)
        tx.dialect.insert_ignore(tx, jobs, {**row, "dedup_slot": job.id})
        return job.id

    set_on(saving, "_save", save)


# -- limits and places -----------------------------------------------------------------------------


def limits_without_turns() -> None:
    """A limit is looked at before a claim, and others may claim in between."""

    def serialize(self: Dialect, work: Any, mutexes: Any, name: str) -> None:
        time.sleep(0.002)

    set_on(Dialect, "serialize", serialize)


def group_counted_early() -> None:
    """The active jobs of a group are those of the moment before."""
    right: Any = groups._room
    before: dict[str, int] = {}

    def room(tx: Tx, queue: str, turn: Any, share: int, opts: Any) -> dict[str, int]:
        most = min(share, opts.group_concurrency or share)
        told = {group: min(most, before.get(group, most)) for group in turn}
        before.clear()
        before.update(right(tx, queue, turn, share, opts))
        return told

    set_on(groups, "_room", room)


def newest_first() -> None:
    """Of equal priority, the newest job is claimed first."""
    set_on(fetch, "oldest", lambda jobs: (jobs.c.priority, jobs.c.seq.desc()))


def queue_forgotten() -> None:
    """A claim takes the jobs of all queues."""

    def runnable(tables: Any, named: bool) -> Any:
        return sa.select(tables.jobs.c.seq).where(in_state(tables.jobs, JobState.WAITING))

    set_on(fetch, "runnable", runnable)


def migration_without_lock() -> None:
    """Whoever finds no tables makes them, whoever else does the same."""
    set_on(sqlite.SQLite, "lock_migration", lambda *_, **__: True)


def slots_in_two_steps() -> None:
    """A schedule moves on, and the jobs of its slots are saved after, if nothing comes between."""
    right: Any = schedules.save_rows

    def save_rows(tx: Tx, saved: Any) -> Any:
        tx.commit()
        time.sleep(0.05)
        tx.begin()
        return right(tx, saved)

    set_on(schedules, "save_rows", save_rows)


def slots_looked_at_first() -> None:
    """What is due is looked at first, and fired after, whoever fired it meanwhile."""
    right: Any = schedules.due

    def due(tx: Tx, queue: str) -> Any:
        tx.rollback()
        return right(tx, queue)

    def write(tx: Tx, known: Any, values: Any) -> bool:
        if not tx.begun:
            time.sleep(0.02)
            tx.begin()
        moving = sa.update(tx.tables.schedules).values(values)
        one = schedules._is(tx, known.queue_name, known.key)
        return tx.conn.execute(moving.where(one)).rowcount == 1

    set_on(schedules, "due", due)
    set_on(schedules, "_write", write)


def id_taken_out_by_name() -> None:
    """Whoever claimed an id takes it out, by whatever claim."""
    right = AsyncRedisBroker.ack

    async def ack(self: AsyncRedisBroker, broker: str, id: str) -> bool:
        return await right(self, broker, str(id))

    set_on(AsyncRedisBroker, "ack", ack)


def fence_stays() -> None:
    """Whoever takes a lock that is over gets the number of the one before."""
    right: Any = locks._take

    def take(tx: Tx, found: Any, owner: str, ttl: timedelta) -> bool:
        table = tx.tables.locks
        if found.held:
            return bool(right(tx, found, owner, ttl))
        over = (table.c.name == found.name, table.c.expires_at <= tx.now())
        values = {"expires_at": tx.now(ttl), "owner": owner}
        return tx.conn.execute(sa.update(table).where(*over).values(values)).rowcount == 1

    set_on(locks, "_take", take)


def lock_taken_in_two_steps() -> None:
    """Whether a lock is free is looked at first, and it is taken after."""

    def take(tx: Tx, found: Any, owner: str, ttl: timedelta) -> bool:
        table = tx.tables.locks
        time.sleep(0.005)
        values = {"expires_at": tx.now(ttl), "owner": owner, "fence": found.fence + 1}
        tx.conn.execute(sa.update(table).where(table.c.name == found.name).values(values))
        return True

    set_on(locks, "_take", take)


def lock_renewed_by_all() -> None:
    """A lock is renewed, and released, whoever has it by now."""

    def owned(tx: Tx, key: str, owner: str) -> Any:
        return (tx.tables.locks.c.name == key,)

    set_on(locks, "_owned", owned)


BUGS = {
    bug.name: bug
    for bug in (
        Bug("lease-is-not-counted", lease_is_not_counted, "kill", "shared"),
        Bug("finish-by-owner", finish_by_owner, "pause", "stale"),
        Bug("finish-by-id", finish_by_id, "pause", "ended_twice"),
        Bug("extend-by-id", extend_by_id, "pause", "shared"),
        Bug("claim-in-two-steps", claim_in_two_steps, "kill", "shared"),
        Bug("clock-of-the-client", clock_of_the_client, "kill", "shared"),
        Bug("recovery-takes-all", recovery_takes_all, "kill", "shared"),
        Bug("enqueue-acknowledged-early", enqueue_acknowledged_early, "kill", "lost"),
        Bug("job-acknowledged-early", job_acknowledged_early, "kill", "unfounded"),
        Bug("finish-forgotten", finish_forgotten, "kill", "ended_twice"),
        Bug("key-is-not-unique", key_is_not_unique, "keys", "doubled"),
        Bug("cap-without-turns", limits_without_turns, "cap", "exceeded"),
        Bug("rate-without-turns", limits_without_turns, "rate", "hurried"),
        Bug("group-counted-early", group_counted_early, "groups", "exceeded"),
        Bug("newest-first", newest_first, "order", "out_of_order"),
        Bug("queue-forgotten", queue_forgotten, "apart", "strayed"),
        Bug("migration-without-lock", migration_without_lock, "start-at-once", "died"),
        Bug("slots-in-two-steps", slots_in_two_steps, "schedules", "slots"),
        Bug("slots-looked-at-first", slots_looked_at_first, "schedules", "slots"),
        Bug("id-taken-out-by-name", id_taken_out_by_name, "pause", "stale", "redis"),
        Bug("fence-stays", fence_stays, "locks", "fences"),
        Bug("lock-taken-in-two-steps", lock_taken_in_two_steps, "locks", "held_twice"),
        Bug("lock-renewed-by-all", lock_renewed_by_all, "locks", "held_twice"),
    )
}


def plant(name: str) -> None:
    """Let this process have the bug of that name, and forget what it has prepared without it."""
    BUGS[name].plant()
    for module in (fetch, finishing, groups, leases, locks, saving):
        for each in vars(module).values():
            if hasattr(each, "cache_clear"):
                each.cache_clear()
