"""When to fetch and how much: enough that no slot waits, no more than will soon be run."""

from __future__ import annotations

import asyncio
import time

from oqron_sql.contract import AsyncStore, Job
from oqron_sql.runtime.floor import Floor
from oqron_sql.runtime.persisting import warn_of
from oqron_sql.runtime.plan import Plan

HORIZON = 0.1
"""How many seconds of work may be leased ahead, at the pace of the last moments."""
MOST = 1000


class Fetcher:
    """Fetches in batches, one at a time, while the jobs of the last one run.

    What may be leased ahead of need follows from the pace: a worker whose jobs take a second has
    none ready that another could run, one that does thousands a second has the next few hundred.
    """

    def __init__(self, store: AsyncStore, plan: Plan, floor: Floor, *, largest: int) -> None:
        self.news = asyncio.Event()
        """Set when there may be something to fetch."""
        self.news.set()
        self.stopped = False
        self.came_short = False
        """Whether the last fetch got less than it asked for."""
        self.asking = False
        """Whether a fetch is under way, which may come short."""
        self.bounded = plan.limits.grouped or plan.limits.max_active is not None
        """Whether active jobs keep others from being fetched."""
        self._store, self._plan, self._floor = store, plan, floor
        # Where a leased job counts for a limit, it had better run.
        self._prefetch = 0 if self.bounded else plan.prefetch
        self._most_held = 2 * (plan.concurrency * largest + self._prefetch)
        self._ended, self._counted_at = 0, time.monotonic()

    def stop(self) -> None:
        """Fetch no more; a fetch that is under way ends first."""
        self.stopped = True
        self.news.set()
        self._floor.room.set()

    async def step(self) -> None:
        """Fetch once, as soon as it is worth it."""
        await self.news.wait()
        if self.stopped:
            return
        n = self._wanted()
        if n <= 0:
            self._floor.room.clear()
            await self._floor.room.wait()
            await asyncio.sleep(0)  # what ends in this turn of the loop makes room together
            return
        self.news.clear()
        plan, asked_at = self._plan, time.monotonic()
        lease = plan.lease.total_seconds()
        self.asking = True
        try:
            async with asyncio.timeout(lease):
                jobs = await self._store.fetch_jobs(
                    plan.queue, plan.worker_id, plan.lease, n, plan.limits
                )
        finally:
            self.asking = False
        self.came_short = len(jobs) < n
        if not self.came_short:
            self.news.set()  # there may be more
        if jobs and time.monotonic() - asked_at > lease / 2:
            jobs = await self._admit_extended(jobs, lease)
        self._floor.admit(jobs, asked_at, lease)

    async def _admit_extended(self, jobs: list[Job], lease: float) -> list[Job]:
        """Admit what can be extended after a fetch that had to wait; return what else is held.

        By our reckoning a lease counts from when it was asked for: without this a job would begin
        that has to be stopped soon, though its lease was just written.
        """
        plan, asked_at = self._plan, time.monotonic()
        try:
            async with asyncio.timeout(lease / 4):
                found = await self._store.extend_locks(plan.queue, jobs, plan.lease)
        except Exception as error:  # noqa: BLE001 - the heartbeat tries it again, or fences them
            warn_of(error, "jobs that were long in coming could not be extended")
            return jobs
        told = list(zip(jobs, found, strict=True))
        extended = [job for job, each in told if not (each.lost or each.skipped)]
        self._floor.admit(extended, asked_at, lease)
        return [job for job, each in told if each.skipped]

    def _wanted(self) -> int:
        floor = self._floor
        ahead = self._ahead()
        floor.few = ahead * 3 // 4  # so early that the next batch comes before this one is done
        if len(floor.ready) > floor.few:
            return 0
        wanted = int(floor.free * floor.per_call) + ahead - len(floor.ready)
        return min(wanted, self._most_held - len(floor.held), MOST)

    def _ahead(self) -> int:
        """Return how many jobs may be ready, by how many have ended since the last fetch."""
        now, ended = time.monotonic(), self._floor.ended
        passed = max(now - self._counted_at, 0.001)
        pace = (ended - self._ended) / passed
        self._ended, self._counted_at = ended, now
        if self._floor.slow:
            self._floor.slow = False
            return 0
        return min(self._prefetch, int(pace * HORIZON))
