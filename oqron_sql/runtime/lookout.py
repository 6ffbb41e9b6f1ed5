"""What has to be looked after in a queue, by any worker: one cheap statement now and then."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import timedelta

from oqron_sql.contract import AsyncStore, EventType, JobState, Recovered
from oqron_sql.errors import MetricsDisabled
from oqron_sql.runtime.firing import fire
from oqron_sql.runtime.notes import Tell
from oqron_sql.runtime.watching import wait_for

logger = logging.getLogger("oqron_sql")

LEAST_PAUSE = 0.02
HELD_BACK = timedelta(milliseconds=100)
"""How soon to look again for jobs that limits kept from being fetched."""
AT_ONCE = 1000
TIMEOUT = 30.0
HOUR = 3600.0


class Lookout:
    """Looks ahead once per `poll`, or when told to: promotes, fires, recovers, removes, and wakes.

    `wake` is called when there is something to fetch; `came_short` tells whether a fetch got less
    than it wanted.
    """

    def __init__(
        self,
        store: AsyncStore,
        queue: str,
        *,
        poll: timedelta,
        max_lost: int,
        schedules: bool,
        wake: Callable[[], None],
        came_short: Callable[[], bool],
        tell: Tell,
    ) -> None:
        self.soon = asyncio.Event()
        """Set to have it look again soon."""
        self._store, self._queue, self._poll, self._max_lost = store, queue, poll, max_lost
        self._schedules = schedules
        self._wake, self._came_short, self._tell = wake, came_short, tell
        self._tidy_at = time.monotonic() + random.uniform(0, HOUR)  # noqa: S311 - spreads

    async def step(self) -> None:
        """Look, do what there is to do, and wait until it is time to look again."""
        self.soon.clear()
        async with asyncio.timeout(TIMEOUT):
            pause = await self._look()
        await self._rest(pause)

    async def _look(self) -> timedelta:
        """Look, do what there is to do, and say how long there is nothing else."""
        outlook = await self._store.get_outlook(self._queue)
        more = False
        if outlook.lost:
            more |= await self._recover()
        if outlook.expired:
            more |= await self._store.remove_expired(self._queue, limit=AT_ONCE) == AT_ONCE
        if outlook.due_in is not None and outlook.due_in <= timedelta(0):
            promote = self._store.promote_delayed_jobs
            more |= await promote(self._queue, limit=AT_ONCE) == AT_ONCE
            self._wake()
        elif outlook.waiting:
            self._wake()
        fires_in = outlook.fires_in if self._schedules else None
        if fires_in is not None and await fire(self._store, self._queue, outlook, self._tell):
            more = True
            self._wake()
        await self._tidy()
        held_back = outlook.waiting and self._came_short()
        return min(
            timedelta(0) if more else self._poll,
            HELD_BACK if held_back else self._poll,
            outlook.due_in or self._poll,
            fires_in or self._poll,
        )

    async def _recover(self) -> bool:
        """Take back jobs whose worker was lost; tell whether there may be more."""
        limit = AT_ONCE // 10
        found = await self._store.recover_lost(self._queue, limit=limit, max_lost=self._max_lost)
        for each in found:
            self._note(each)
        if found:
            self._wake()
        return len(found) == limit

    def _note(self, recovered: Recovered) -> None:
        ended = recovered.state is JobState.FAILED
        logger.log(
            logging.ERROR if ended else logging.WARNING,
            "job %s was lost by worker %s, for the %d. time: %s",
            recovered.job_id,
            recovered.worker_id,
            recovered.lost_count,
            "it has failed" if ended else "it waits again",
        )
        self._tell(EventType.JOB_STALLED, recovered.job_id, recovered.worker_id)
        if ended:
            reason = f"worker lost {recovered.lost_count} times"
            self._tell(EventType.JOB_FAILED, recovered.job_id, reason)

    async def _tidy(self) -> None:
        if time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + HOUR
        try:
            await self._store.aggregate_metrics()
        except MetricsDisabled:
            self._tidy_at = float("inf")

    async def _rest(self, pause: timedelta) -> None:
        """Wait, a little longer than asked, so that not all workers look in the same moment."""
        await asyncio.sleep(LEAST_PAUSE)
        left = pause.total_seconds() - LEAST_PAUSE
        if left > 0:
            await wait_for(self.soon, left * random.uniform(1, 1.1))  # noqa: S311 - spreads
