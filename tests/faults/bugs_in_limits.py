"""Bugs in limits, places, schedules and adapters; each changes the product for this process."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from oqron_sql import JobState, migrate
from oqron_sql.dialects import Dialect, sqlite
from oqron_sql.queries import fetch, groups, locks, saving, schedules
from oqron_sql.queries.rows import in_state
from oqron_sql.queries.tx import Tx
from oqron_sql.redis import AsyncRedisBroker
from oqron_sql.schema import migrating
from tests.faults.bugs_in_leases import set_on

# -- limits and places -----------------------------------------------------------------------------


def limits_without_turns() -> None:
    """A limit is looked at before a claim, and others may claim in between."""

    def serialize(self: Dialect, work: Any, mutexes: Any, name: str) -> None:
        time.sleep(0.002)

    set_on(Dialect, "serialize", serialize)


def group_counted_early() -> None:
    """The active jobs of a group are those of the moment before."""
    right: Any = groups._room
    next_ones: Any = groups._next
    before: dict[str, int] = {}

    def every_next(tables: Any, dialect: Any, named: bool, capped: bool, passing: bool) -> Any:
        return next_ones(tables, dialect, named, capped=False, passing=passing)

    def room(tx: Tx, queue: str, turn: Any, share: int, opts: Any) -> dict[str, int]:
        most = min(share, opts.group_concurrency or share)
        told = {group: min(most, before.get(group, most)) for group in turn}
        before.clear()
        before.update(right(tx, queue, turn, share, opts))
        return told

    set_on(groups, "_room", room)
    set_on(groups, "_next", every_next)


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
    set_on(migrate, "run", migrating._run_once)  # which would go on where there is no lock


def slots_in_two_steps() -> None:
    """A schedule moves on, and the jobs of its slots are saved after, if nothing comes between."""
    right: Any = saving.save_rows

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
