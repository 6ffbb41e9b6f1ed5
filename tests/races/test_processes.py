"""Races between processes: nothing is handed out twice, no limit is exceeded, nothing is lost."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from oqron_sql import AsyncSQLStore, Job, JobOptions, JobState, new_job
from oqron_sql.contract import Group, Repeat, Schedule
from tests.backends import BACKENDS, Backends
from tests.forked import Player, playing
from tests.races import claimant
from tests.races.claimant import CAP, KEYS, LONG, MOST, QUEUE, RATE, ROLES, SLOTS

PROCESSES = 4
JOBS = 300
RACING = ("sqlite-thread", "pg-asyncpg", "maria-pymysql-thread")


@pytest.fixture
def url(backend: str, backends: Backends) -> str:
    if backend not in RACING:
        pytest.skip("its processes would race as those of another backend do")
    return backends.database(BACKENDS[backend]).url


@contextlib.contextmanager
def racing(role: str, url: str) -> Iterator[list[Player]]:
    """Start all at once."""
    with playing(*[(claimant.race, role, url)] * PROCESSES) as racers:
        for racer in racers:
            racer.say("go")
        yield racers


def race(role: str, url: str) -> list[list[Any]]:
    """Return what each process said."""
    with racing(role, url) as racers:
        return [racer.rest() for racer in racers]


async def fill(url: str, n: int, groups: int = 0) -> list[Job]:
    def options(i: int) -> JobOptions:
        return JobOptions(group=Group(id=f"g{i % groups}")) if groups else JobOptions()

    jobs = [new_job(QUEUE, "one", i, options(i)) for i in range(n)]
    async with AsyncSQLStore(url) as store:
        await store.save_bulk(QUEUE, jobs)
    return jobs


async def test_every_job_is_handed_out_once(url: str) -> None:
    jobs = await fill(url, JOBS)
    taken = [lease for said in race("drain", url) for batch in said for lease in batch]
    assert sorted(taken) == sorted([job.id, 1] for job in jobs)
    async with AsyncSQLStore(url) as store:
        counts = await store.get_job_counts(QUEUE)
    assert {state: n for state, n in counts.items() if n} == {JobState.COMPLETED: JOBS}


async def test_no_group_has_more_than_its_cap(url: str) -> None:
    await fill(url, 60, groups=5)
    taken = [job for said in race("grouped", url) for batch in said for job in batch]
    async with AsyncSQLStore(url) as store:  # the last two may have been in each other's way
        taken += [job async for batch in ROLES["grouped"](store) for job in batch]
    assert len({job_id for job_id, _ in taken}) == len(taken)
    per_group = Counter(group for _, group in taken)
    assert per_group == {f"g{i}": CAP for i in range(5)}


@pytest.mark.parametrize(("role", "most"), [("rated", RATE), ("capped", MOST)])
async def test_a_limit_is_met_and_never_exceeded(url: str, role: str, most: int) -> None:
    await fill(url, 60)
    taken = [job_id for said in race(role, url) for batch in said for job_id, _ in batch]
    assert len(taken) == len(set(taken)) == most


async def test_one_job_per_key(url: str) -> None:
    told = race("save", url)
    assert all(said == told[0] for said in told)
    async with AsyncSQLStore(url) as store:
        assert await store.count_jobs(QUEUE, JobState.WAITING) == KEYS


async def test_each_slot_is_fired_once(url: str) -> None:
    """A dozen schedulers in several processes, and more slots than one call takes."""
    repeat = Repeat(every=LONG)
    async with AsyncSQLStore(url) as store:
        for n in range(KEYS):
            schedule = Schedule(
                queue_name=QUEUE, key=f"key-{n}", name="job", repeat=repeat, catchup="all"
            )
            await store.put_schedule(QUEUE, schedule)
    told = [job_id for said in race("fire", url) for found in said for job_id in found]
    async with AsyncSQLStore(url) as store:
        saved = await store.list_jobs(QUEUE, JobState.WAITING, 0, 2 * KEYS * SLOTS)
        series = await store.list_schedules(QUEUE)
    assert sorted(told) == sorted(job.id for job in saved)
    assert len(saved) == len(set(told)) == KEYS * SLOTS
    assert {one.fired for one in series} == {SLOTS}


async def test_nothing_is_lost_when_a_process_is_killed(url: str) -> None:
    """The dead one's jobs come back when their leases run out, and end once."""
    jobs = await fill(url, JOBS)
    with racing("survive", url) as racers:
        victim, *others = racers
        leased = victim.hear()
        victim.kill()
        for racer in others:
            racer.rest()
    async with AsyncSQLStore(url) as store:
        ended = await store.list_jobs(QUEUE, JobState.COMPLETED, 0, JOBS + 1)
    assert sorted(job.id for job in ended) == sorted(job.id for job in jobs)
    assert all(job.lease == 1 + job.lost_count for job in ended)
    # It may have finished the batch it told of before it died, but then it held the next.
    assert leased
    assert any(job.lost_count for job in ended)
