"""How many round trips an operation takes, BEGIN and COMMIT included: an exact number for each."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, Complete, Fail, FetchOptions, Job, JobState
from tests.backends import BACKENDS, BLOCKING_DRIVERS, Backends
from tests.conftest import installed
from tests.plans.wire import CountingProxy

QUEUE, HOUR = "queue", timedelta(hours=1)
# Drivers prepare a statement that they have seen a few times: count what comes after that.
WARM = 7

# Of those with more than one, the first and the last are BEGIN and COMMIT. SQLite has no wire; what
# is counted there are its statements.
ROUND_TRIPS: dict[str, dict[str, int]] = {
    "save_job":        {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "save_bulk 1000":  {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "fetch_jobs 50":   {"postgresql": 1, "mariadb": 4, "sqlite": 1},
    "fetch by turns":  {"postgresql": 9, "mariadb": 10, "sqlite": 9},
    "finish_jobs 50":  {"postgresql": 1, "mariadb": 4, "sqlite": 4},
    "finish, one failed": {"postgresql": 7, "mariadb": 7, "sqlite": 7},
    "extend_locks 50": {"postgresql": 4, "mariadb": 4, "sqlite": 4},
    "extend_lock":     {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "get_job":         {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "list_jobs":       {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "get_next_delayed_timestamp": {"postgresql": 1, "mariadb": 1, "sqlite": 1},
}  # fmt: skip
Call = Callable[[AsyncSQLStore, Sequence[Job]], Awaitable[object]]
CALLS: dict[str, Call] = {
    "save_job": lambda s, _: s.save_job(QUEUE, new()),
    "save_bulk 1000": lambda s, _: s.save_bulk(QUEUE, [new() for _ in range(1000)]),
    "fetch_jobs 50": lambda s, _: s.fetch_jobs(QUEUE, "worker", HOUR, 50),
    "fetch by turns": lambda s, _: s.fetch_jobs(
        QUEUE, "worker", HOUR, 1, FetchOptions(group_concurrency=9999)
    ),
    "finish_jobs 50": lambda s, jobs: s.finish_jobs(QUEUE, [Complete(job) for job in jobs]),
    "finish, one failed": lambda s, jobs: s.finish_jobs(
        QUEUE, [Fail(jobs[0], "it broke"), *(Complete(job) for job in jobs[1:])]
    ),
    "extend_locks 50": lambda s, jobs: s.extend_locks(QUEUE, jobs, HOUR),
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


@pytest.mark.parametrize(
    "driver", ["pg-asyncpg", "pg-psycopg", "maria-pymysql-thread", "maria-asyncmy"]
)
async def test_round_trips(driver: str, backends: Backends, pytestconfig: pytest.Config) -> None:
    skip_unless_asked_for(driver, pytestconfig)
    backend = BACKENDS[driver]
    kind = backend.server or ""
    with installed():
        server = backends.server(kind)
    with database(server.url(BLOCKING_DRIVERS[kind])), CountingProxy(server.port) as proxy:
        url = sa.make_url(server.url(backend.driver, "wire")).set(port=proxy.port)
        async with AsyncSQLStore(url) as store:
            measured = await measure(store, lambda: proxy.turns)
    assert measured == {name: each[kind] for name, each in ROUND_TRIPS.items()}


async def test_statements_of_sqlite(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    skip_unless_asked_for("sqlite", pytestconfig)
    said: list[str] = []
    async with AsyncSQLStore(f"sqlite:///{tmp_path / 'wire.db'}") as store:

        def listen(tx: Any) -> None:
            driver: sqlite3.Connection = tx.conn.connection.driver_connection
            driver.set_trace_callback(said.append)

        await store.run(listen)
        measured = await measure(store, lambda: len(said))
    assert measured == {name: each["sqlite"] for name, each in ROUND_TRIPS.items()}


@contextlib.contextmanager
def database(url: str) -> Iterator[None]:
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.exec_driver_sql("CREATE DATABASE wire")
        yield
        conn.exec_driver_sql("DROP DATABASE wire")
    admin.dispose()


def skip_unless_asked_for(backend: str, config: pytest.Config) -> None:
    chosen = config.getoption("backend")
    if chosen and backend not in chosen:
        pytest.skip("another backend was asked for")
