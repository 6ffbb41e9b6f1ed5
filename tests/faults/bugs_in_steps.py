"""Bugs of what is atomic and is made of steps; each changes the product for this process."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, Job, JobState
from oqron_sql.contract import Settled
from oqron_sql.contract.options import ANY, FetchOptions
from oqron_sql.dialects import postgresql
from oqron_sql.dialects.work import primary_key
from oqron_sql.queries import delaying
from oqron_sql.queries.tx import Tx
from oqron_sql.redis import AsyncRedisBroker, AsyncRedisLock, keys
from oqron_sql.schema.tables import STATES
from tests.faults.bugs_in_leases import set_on

# -- jobs ------------------------------------------------------------------------------------------


def claiming_by(chosen: Any) -> None:
    def claiming(claim: Any) -> Any:
        change = sa.update(claim.table).where(primary_key(claim.table).in_(chosen(claim)))
        values = {**claim.values, claim.bump.name: claim.bump + 1}
        return change.values(values).returning(*claim.returning)

    set_on(postgresql, "_claiming", claiming)


def claim_without_lock() -> None:
    """A claim takes jobs that it found in the same statement, and has locked none of them."""
    claiming_by(lambda claim: claim.candidates)


def claim_by_in_subselect() -> None:
    """A claim takes what a subselect finds, which the planner may run for each row of the table."""

    def chosen(claim: Any) -> Any:
        rows = claim.candidates.with_for_update(skip_locked=True, key_share=True)
        return rows.correlate(None)

    claiming_by(chosen)
    right: Any = postgresql.PostgreSQL.claim

    def claim(self: Any, work: Any, claim: Any, params: Any) -> Any:
        for way in ("hashagg", "hashjoin", "mergejoin", "material", "sort"):
            work.conn.exec_driver_sql(f"SET enable_{way} = off")
        return right(self, work, claim, params)

    set_on(postgresql.PostgreSQL, "claim", claim)


def promotion_in_two_steps() -> None:
    """What is due is looked at first, and made waiting after, whoever took it meanwhile."""

    def promote(tx: Tx, queue: str, limit: int, *conditions: sa.ColumnElement[bool]) -> int:
        jobs = tx.tables.jobs
        due = delaying.delayed(tx, queue).where(*conditions).limit(limit)
        found = list(tx.conn.scalars(due))
        if not found:
            return 0
        time.sleep(0.02)
        waiting = sa.update(jobs).where(jobs.c.seq.in_(found))
        return tx.change(waiting.values(state=STATES[JobState.WAITING], delay_until=sa.null()))

    set_on(delaying, "_promote", promote)


def limit_is_a_counter() -> None:
    """A limit is a counter, which whoever is killed has counted up and does not count down."""
    fetch, finish = AsyncSQLStore.fetch_jobs, AsyncSQLStore.finish_jobs

    def count(tx: Tx, n: int, most: int | None = None) -> int:
        tx.begin()
        tx.conn.exec_driver_sql("CREATE TABLE IF NOT EXISTS counter (n INTEGER)")
        known = tx.conn.exec_driver_sql("SELECT sum(n) FROM counter").scalar() or 0
        counted = n if most is None else max(min(n, most - known), 0)
        tx.conn.execute(sa.text("INSERT INTO counter VALUES (:n)"), {"n": counted})
        return counted

    async def fetch_jobs(
        self: AsyncSQLStore,
        queue: str,
        worker_id: str,
        lock: timedelta,
        n: int,
        opts: FetchOptions = ANY,
    ) -> list[Job]:
        room = await self.run(lambda tx: count(tx, n, opts.max_active))
        jobs = await fetch(
            self, queue, worker_id, lock, room, dataclasses.replace(opts, max_active=None)
        )
        await self.run(lambda tx: count(tx, len(jobs) - room))
        return jobs

    async def finish_jobs(self: AsyncSQLStore, queue: str, outcomes: Any) -> list[Settled]:
        settled = await finish(self, queue, outcomes)
        await self.run(lambda tx: count(tx, -len(outcomes)))
        return settled

    set_on(AsyncSQLStore, "fetch_jobs", fetch_jobs)
    set_on(AsyncSQLStore, "finish_jobs", finish_jobs)


# -- ids and locks on Redis ------------------------------------------------------------------------


def id_popped() -> None:
    """An id is taken out when it is claimed, as BLPOP does."""
    claim, claim_blocking = AsyncRedisBroker.claim, AsyncRedisBroker.claim_blocking

    async def popping(self: AsyncRedisBroker, broker: str, *args: Any) -> Any:
        claims = await claim(self, broker, *args)
        for each in claims:
            await self.remove(broker, each)
        return claims

    async def popping_one(self: AsyncRedisBroker, broker: str, *args: Any) -> Any:
        one = await claim_blocking(self, broker, *args)
        if one is not None:
            await self.remove(broker, one)
        return one

    set_on(AsyncRedisBroker, "claim", popping)
    set_on(AsyncRedisBroker, "claim_blocking", popping_one)


def lock_renewed_in_two_steps() -> None:
    """Whose a lock is is looked at first, and it is made to last after, whoever has it by then."""

    async def renew(self: AsyncRedisLock, key: str, owner: str, ttl: timedelta) -> bool:
        if not await self.is_owner(key, owner):
            return False
        await asyncio.sleep(0.02)
        lock = keys.base(self._connection.prefix, "lock", key)
        now = await self._connection.command("TIME")
        until = int(now[0]) * 1_000_000 + int(now[1]) + ttl // timedelta(microseconds=1)
        await self._connection.command("HSET", lock, "until", until, changes=True)
        return True

    set_on(AsyncRedisLock, "renew", renew)
