"""Finished jobs that are to go, while others hold their rows or end one themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import Complete, Job, JobOptions, SQLStore, new_job
from oqron_sql.contract.options import Retention
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

QUEUE = "kept"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def engine(backend: str, backends: Backends) -> Iterator[sa.Engine]:
    if backend != "pg-psycopg-blocking":
        pytest.skip("elsewhere, ends in open transactions hold each other up in a table so short")
    with installed():
        database = backends.database(BACKENDS[backend])
    database.clear()
    made = sa.create_engine(database.url, isolation_level="READ COMMITTED")
    yield made
    made.dispose()


def test_an_end_that_is_committed_late_is_not_forgotten(engine: sa.Engine) -> None:
    """Its number is lower than that of the one which is displaced meanwhile."""
    store, other = counting_apart(engine)
    with store, other, engine.connect() as host:
        first, second, third, fourth = lease(store, 4, 1)
        with host.begin() as late:
            other.using(host).finish_jobs(QUEUE, [Complete(first)])
            store.finish_jobs(QUEUE, [Complete(second)])
            before_deleting(engine, late.commit)
            store.finish_jobs(QUEUE, [Complete(third)])
            assert not late.is_active
        store.finish_jobs(QUEUE, [Complete(fourth)])
        assert left(store, [first, second, third, fourth]) == [fourth.id]


def test_a_job_that_is_locked_when_its_time_is_over_goes_later(engine: sa.Engine) -> None:
    with SQLStore(engine) as store, engine.connect() as host:
        jobs = lease(store, 2, timedelta(0))
        store.finish_jobs(QUEUE, [Complete(job) for job in jobs])
        with host.begin():
            store.using(host).append_logs(QUEUE, jobs[0].id, ["a note"])
            assert store.remove_expired(QUEUE) == 1
            assert store.remove_expired(QUEUE) == 0
            assert left(store, jobs) == [jobs[0].id]
        assert store.remove_expired(QUEUE) == 1
        assert left(store, jobs) == []


def test_a_job_that_is_locked_when_it_is_displaced_goes_later(engine: sa.Engine) -> None:
    with SQLStore(engine) as store, engine.connect() as host:
        jobs = lease(store, 3, 1)
        store.finish_jobs(QUEUE, [Complete(jobs[0])])
        with host.begin():
            store.using(host).append_logs(QUEUE, jobs[0].id, ["a note"])
            store.finish_jobs(QUEUE, [Complete(jobs[1])])
        store.finish_jobs(QUEUE, [Complete(jobs[2])])
        assert left(store, jobs) == [jobs[2].id]


def counting_apart(engine: sa.Engine) -> tuple[SQLStore, SQLStore]:
    """Return two stores that do not wait for each other to count."""
    one, other = SQLStore(engine), SQLStore(engine)
    while other._shell.settings.shard == one._shell.settings.shard:
        other = SQLStore(engine)
    return one, other


def lease(store: SQLStore, n: int, kept: Retention) -> list[Job]:
    opts = JobOptions(remove_on_complete=kept)
    store.save_bulk(QUEUE, [new_job(QUEUE, "job", opts=opts) for _ in range(n)])
    return store.fetch_jobs(QUEUE, "me", MINUTE, n)


def left(store: SQLStore, jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs if store.get_job(QUEUE, job.id) is not None]


def before_deleting(engine: sa.Engine, act: Callable[[], object]) -> None:
    """Let `act` come between what is looked for next and its removal."""
    acts = [act]

    def look(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if acts and statement.startswith("DELETE"):
            acts.pop()()

    sa.event.listen(engine, "before_cursor_execute", look)
