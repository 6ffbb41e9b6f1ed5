"""Before and after a run: the tables are made, jobs are waited for, and their ends written down."""

from __future__ import annotations

import asyncio
import time

from oqron_sql import AsyncSQLStore, JobState
from oqron_sql.contract.schedules import slot_of
from oqron_sql.errors import StoreUnavailable
from tests.faults.checks import ENDS
from tests.faults.history import Journal


async def prepare(url: str, prefix: str) -> None:
    """Make the tables."""
    async with AsyncSQLStore(url, prefix=prefix):
        pass


async def drained(url: str, home: tuple[str, str], patience: float) -> bool:
    """Wait until every job has ended, and let no schedule make more; whether they have."""
    prefix, queue = home
    deadline = time.monotonic() + patience
    async with AsyncSQLStore(url, prefix=prefix) as store:
        while time.monotonic() < deadline:
            try:
                for schedule in await store.list_schedules(queue):
                    await store.pause_schedule(queue, schedule.key)
                counts = await store.get_job_counts(queue)
            except StoreUnavailable:
                continue
            if not any(n for state, n in counts.items() if state not in ENDS):
                return True
            await asyncio.sleep(0.1)
    return False


async def note(url: str, home: tuple[str, str], journal: Journal) -> None:
    """Write down what became of every job."""
    prefix, queue = home
    async with AsyncSQLStore(url, prefix=prefix) as store:
        for state in JobState:
            for job in await store.list_jobs(queue, state, 0, 1_000_000):
                result = {"result": job.returnvalue} if state is JobState.COMPLETED else {}
                facts = {"lease": job.lease, "lost": job.lost_count, **result}
                if slot := slot_of(job.id):
                    facts |= {"key": job.id.rpartition("@")[0], "slot": slot.timestamp()}
                journal.write("final", job=job.id, state=job.state, **facts)
        for schedule in await store.list_schedules(queue):
            assert schedule.anchor
            told = {"fired": schedule.fired, "limit": schedule.repeat.limit}
            journal.write("series", key=schedule.key, anchor=schedule.anchor.timestamp(), **told)
