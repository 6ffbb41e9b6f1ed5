"""Leases that are extended while another transaction holds a row, or another call is made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import Job, SQLStore, new_job
from oqron_sql.contract import Extension
from oqron_sql.schema.tables import tables
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

QUEUE = "extended"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LOCKING = ("pg-psycopg-blocking", "maria-pymysql")


@pytest.fixture
def url(backend: str, backends: Backends) -> str:
    if backend not in LOCKING:
        pytest.skip("another driver of the same server, or none that locks rows")
    with installed():
        return backends.database(BACKENDS[backend]).url


@contextlib.contextmanager
def holding(url: str, job: Job) -> Iterator[None]:
    """Keep the row of a job in a transaction of a host."""
    jobs, engine = tables().jobs, sa.create_engine(url)
    row = sa.select(jobs.c.seq).where(jobs.c.seq == job.seq)
    with engine.connect() as rival:
        rival.execute(row.with_for_update())
        yield
    engine.dispose()


def test_who_holds_one_row_holds_up_no_other_lease(url: str) -> None:
    """What was held is told to be skipped, and is extended by the next call."""
    with SQLStore(url) as store:
        store.save_bulk(QUEUE, [new_job(QUEUE, "one") for _ in range(3)])
        leased = store.fetch_jobs(QUEUE, "me", MINUTE, 3)
        before = [job.lock_until for job in leased]
        with holding(url, leased[1]):
            told = store.extend_locks(QUEUE, leased, HOUR)
        assert [(each.lost, each.skipped) for each in told] == [
            (False, False),
            (False, True),
            (False, False),
        ]
        assert told[1].lock_until == before[1]
        assert [_until(store, job) for job in leased] == [each.lock_until for each in told]
        again = store.extend_locks(QUEUE, leased, HOUR)
        assert not any(each.skipped for each in again)
        assert again[1].lock_until == _until(store, leased[1]) != before[1]
        store.remove_job(QUEUE, leased[2].id)
        with holding(url, leased[0]):
            told = store.extend_locks(QUEUE, leased, HOUR)
        assert [(each.lost, each.skipped) for each in told] == [
            (False, True),
            (False, False),
            (True, False),
        ]


def test_a_hosts_transaction_does_not_wait_for_what_it_skips(url: str) -> None:
    """It would for as long as the row is held: here, for ever."""
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def be_impatient(driver: Any, _: object) -> None:
        name = engine.dialect.name
        waiting = "lock_timeout = '1s'" if name == "postgresql" else "innodb_lock_wait_timeout = 1"
        with driver.cursor() as cursor:
            cursor.execute(f"SET SESSION {waiting}")
        driver.commit()

    with SQLStore(engine) as store:
        store.save_bulk(QUEUE, [new_job(QUEUE, "one") for _ in range(3)])
        leased = store.fetch_jobs(QUEUE, "me", MINUTE, 3)
        store.remove_job(QUEUE, leased[2].id)
        with holding(url, leased[1]), store.transaction() as joined:
            told = joined.extend_locks(QUEUE, leased, HOUR)
        assert [(each.lost, each.skipped) for each in told] == [
            (False, False),
            (False, True),
            (True, False),
        ]
        assert told[0].lock_until == _until(store, leased[0])
        assert told[1].lock_until == _until(store, leased[1]) == leased[1].lock_until
    engine.dispose()


def test_of_two_calls_at_once_one_says_that_it_extended_nothing(url: str) -> None:
    """The other one's end counts; nobody is told of more than what is written."""
    engine = sa.create_engine(url)
    with SQLStore(engine) as store, SQLStore(url) as other:
        store.save_job(QUEUE, new_job(QUEUE, "one"))
        (job,) = store.fetch_jobs(QUEUE, "me", MINUTE, 1)
        meanwhile: list[Extension] = []

        @sa.event.listens_for(engine, "before_cursor_execute")
        def between(conn: sa.Connection, cursor: Any, statement: str, *rest: Any) -> None:
            if statement.startswith("UPDATE") and not meanwhile:
                meanwhile.extend(other.extend_locks(QUEUE, [job], HOUR))

        (told,) = store.extend_locks(QUEUE, [job], 2 * MINUTE)
        assert meanwhile == [Extension(job.id, job.lease, job.lock_until, skipped=True)]
        assert told.lock_until == _until(store, job) != job.lock_until
    engine.dispose()


def _until(store: SQLStore, job: Job) -> datetime | None:
    found = store.get_job(QUEUE, job.id)
    assert found is not None
    return found.lock_until
