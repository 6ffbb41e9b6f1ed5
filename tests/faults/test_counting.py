"""What is counted while it changes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from oqron_sql import AsyncSQLStore, JobState, new_job
from oqron_sql.contract import Release
from tests.faults.acting import on_redis
from tests.faults.stages import Stage

QUEUE = "moving"
TIMES = 60


async def test_a_job_on_the_move_is_counted(stage: Stage) -> None:
    """Whoever asks whether a queue is empty must not hear that it is."""
    url = stage.url(stage.fresh())
    if on_redis(url):
        pytest.skip("it has ids and no jobs")
    async with AsyncSQLStore(url) as counting, AsyncSQLStore(url) as working:
        await working.save_job(QUEUE, new_job(QUEUE, "one"))

        async def move() -> None:
            while True:
                (job,) = await working.fetch_jobs(QUEUE, "me", timedelta(minutes=1), 1)
                await working.finish_jobs(QUEUE, [Release(job)])

        moving = asyncio.ensure_future(move())
        for _ in range(TIMES):
            counts = await counting.get_job_counts(QUEUE)
            assert counts[JobState.WAITING] + counts[JobState.ACTIVE] == 1
        moving.cancel()
        await asyncio.wait({moving})
