"""How many round trips an operation takes, BEGIN and COMMIT included: an exact number for each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from oqron_sql import AsyncSQLStore, Complete, Fail, FetchOptions, Job, JobOptions, JobState
from tests.backends import Backends
from tests.plans.wire import DRIVERS, WARM, counted, skip_unless_asked_for, statements

QUEUE, HOUR = "queue", timedelta(hours=1)

# Of those with more than one, the first and the last are BEGIN and COMMIT. SQLite has no wire; what
# is counted there are its statements.
ROUND_TRIPS: dict[str, dict[str, int]] = {
    "save_job":        {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "save_bulk 1000":  {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "save_bulk 1000, one known": {"postgresql": 3, "mariadb": 2, "sqlite": 2},
    "fetch_jobs 50":   {"postgresql": 1, "mariadb": 4, "sqlite": 1},
    "fetch by turns":  {"postgresql": 7, "mariadb": 8, "sqlite": 7},
    "finish_jobs 50":  {"postgresql": 1, "mariadb": 4, "sqlite": 4},
    "finish, one failed": {"postgresql": 7, "mariadb": 7, "sqlite": 7},
    "extend_locks 50": {"postgresql": 4, "mariadb": 4, "sqlite": 4},
    "finish, kept for a while": {"postgresql": 6, "mariadb": 6, "sqlite": 6},
    "check_locks 50":  {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "get_outlook":     {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "extend_lock":     {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "get_job":         {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "list_jobs":       {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "get_next_delayed_timestamp": {"postgresql": 1, "mariadb": 1, "sqlite": 1},
}  # fmt: skip
Call = Callable[[AsyncSQLStore, Sequence[Job]], Awaitable[object]]
CALLS: dict[str, Call] = {
    "save_job": lambda s, _: s.save_job(QUEUE, new()),
    "save_bulk 1000": lambda s, _: s.save_bulk(QUEUE, [new() for _ in range(1000)]),
    "save_bulk 1000, one known": lambda s, jobs: s.save_bulk(
        QUEUE, [jobs[0], *(new() for _ in range(999))]
    ),
    "fetch_jobs 50": lambda s, _: s.fetch_jobs(QUEUE, "worker", HOUR, 50),
    "fetch by turns": lambda s, _: s.fetch_jobs(
        QUEUE, "worker", HOUR, 1, FetchOptions(group_concurrency=9999)
    ),
    "finish_jobs 50": lambda s, jobs: s.finish_jobs(QUEUE, [Complete(job) for job in jobs]),
    "finish, one failed": lambda s, jobs: s.finish_jobs(
        QUEUE, [Fail(jobs[0], "it broke"), *(Complete(job) for job in jobs[1:])]
    ),
    "extend_locks 50": lambda s, jobs: s.extend_locks(QUEUE, jobs, HOUR),
    "finish, kept for a while": lambda s, jobs: s.finish_jobs(
        QUEUE, [Complete(replace(job, opts=JobOptions(remove_on_complete=HOUR))) for job in jobs]
    ),
    "check_locks 50": lambda s, jobs: s.check_locks(QUEUE, jobs),
    "get_outlook": lambda s, _: s.get_outlook(QUEUE),
    "extend_lock": lambda s, jobs: s.extend_lock(QUEUE, jobs[0].id, HOUR),
    "get_job": lambda s, jobs: s.get_job(QUEUE, jobs[0].id),
    "list_jobs": lambda s, _: s.list_jobs(QUEUE, JobState.WAITING),
    "get_next_delayed_timestamp": lambda s, _: s.get_next_delayed_timestamp(QUEUE),
}


def new() -> Job:
    return Job(name="name", queue_name=QUEUE, data={"to": "somebody"})


async def measure(store: AsyncSQLStore, count: Callable[[], int]) -> dict[str, int]:
    """Return the round trips of each call."""
    measured = {}
    await store.save_bulk(QUEUE, [new() for _ in range(len(CALLS) * WARM * 50)])
    for name, call in CALLS.items():
        for _ in range(WARM):
            jobs = await store.fetch_jobs(QUEUE, "worker", HOUR, 50)
            before = count()
            await call(store, jobs)
            measured[name] = count() - before
    return measured


@pytest.mark.parametrize("driver", DRIVERS)
async def test_round_trips(driver: str, backends: Backends, pytestconfig: pytest.Config) -> None:
    with counted(driver, backends, pytestconfig) as (kind, url, count):
        async with AsyncSQLStore(url) as store:
            measured = await measure(store, count)
    assert measured == {name: each[kind] for name, each in ROUND_TRIPS.items()}


async def test_statements_of_sqlite(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    skip_unless_asked_for("sqlite", pytestconfig)
    async with AsyncSQLStore(f"sqlite:///{tmp_path / 'wire.db'}") as store:
        measured = await measure(store, await statements(store))
    assert measured == {name: each["sqlite"] for name, each in ROUND_TRIPS.items()}
