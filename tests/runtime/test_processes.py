"""Workers in processes of their own, told to stop, or killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator

import pytest

from oqron_sql import AsyncStore, JobState
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.backends import SQLHarness
from tests.forked import Player, playing
from tests.runtime.steps import QUEUE, queue_of, until
from tests.runtime.victim import CONCURRENCY, LEASE, victim

JOBS = 40


class Victim:
    """A worker process and what it has said since it works."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.said: list[str] = []
        self._reading = asyncio.ensure_future(asyncio.to_thread(self._read))

    def _read(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                self.said.append(self.player.hear())

    @property
    def begun(self) -> list[str]:
        return [line for line in self.said if line != "closed"]

    async def end(self) -> int:
        """Wait for its end; return how it ended."""
        await asyncio.wait_for(self._reading, 20)
        return await asyncio.to_thread(self.player.wait)


@contextlib.asynccontextmanager
async def working(harness: StoreHarness, seconds: float) -> AsyncIterator[Victim]:
    if not isinstance(harness, SQLHarness):
        pytest.skip("memory is not shared by processes")
    with playing((victim, harness.url, seconds)) as (player,):
        made = Victim(player)
        try:
            yield made
        finally:
            player.send(signal.SIGKILL)
            await made.end()


async def states(store: AsyncStore) -> dict[JobState, int]:
    return {state: n for state, n in (await store.get_job_counts(QUEUE)).items() if n}


async def test_killed_workers_cost_nothing_but_time(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """Every job ends once; those that were lost with their workers are counted."""
    await queue_of(store).add_bulk([("awaited", n) for n in range(JOBS)])
    begun: set[str] = set()
    async with working(harness, 3600) as first, working(harness, 3600) as second:
        for each in (first, second):
            await until(lambda: len(each.begun) == CONCURRENCY)  # noqa: B023 - called at once
            each.player.send(signal.SIGKILL)
            assert await each.end() == -signal.SIGKILL
            begun |= set(each.begun)
        async with working(harness, 0.001) as third:
            await until(lambda: _completed(store))
            third.player.send(signal.SIGTERM)
            assert await third.end() == 0
    jobs = await store.list_jobs(QUEUE, JobState.COMPLETED, 0, JOBS)
    assert await states(store) == {JobState.COMPLETED: JOBS}
    for job in jobs:
        lost = job.id in begun
        assert (job.lost_count, job.attempts_made, job.lease) == (lost, 0, 1 + lost)
    assert sorted(third.begun) == sorted(job.id for job in jobs)


async def _completed(store: AsyncStore) -> bool:
    return await store.count_jobs(QUEUE, JobState.COMPLETED) == JOBS


async def test_a_signal_lets_it_end_in_peace(
    store: AsyncStore, harness: StoreHarness, family: str
) -> None:
    """What runs is finished, nothing else begins, and nothing is lost."""
    number = signal.SIGINT if family.startswith("sqlite") else signal.SIGTERM
    queue = queue_of(store)
    await queue.add_bulk([("awaited", n) for n in range(CONCURRENCY + 9)])
    async with working(harness, 0.6) as one:
        await until(lambda: len(one.begun) == CONCURRENCY)
        one.player.send(number)
        assert await one.end() == 0
        assert one.said[-1] == "closed"
    assert await states(store) == {JobState.COMPLETED: CONCURRENCY, JobState.WAITING: 9}


async def test_a_second_signal_hurries(store: AsyncStore, harness: StoreHarness) -> None:
    """What runs is stopped and handed back at once."""
    await queue_of(store).add("awaited", PAYLOAD)
    async with working(harness, 3600) as one:
        await until(lambda: one.begun)
        one.player.send(signal.SIGTERM)
        # Only time shows that it goes on waiting, and keeps the lease for longer than that lasts.
        await asyncio.sleep(1.2 * LEASE)
        assert one.player.alive
        assert await states(store) == {JobState.ACTIVE: 1}
        started = time.monotonic()
        one.player.send(signal.SIGTERM)
        assert await one.end() == 0
        assert time.monotonic() - started < 3
    assert await states(store) == {JobState.WAITING: 1}
    (job,) = await store.list_jobs(QUEUE, JobState.WAITING)
    assert (job.attempts_made, job.lost_count) == (0, 0)
