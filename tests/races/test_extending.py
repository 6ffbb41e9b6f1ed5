"""A lease that is extended twice at once, of which the first call comes last."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from oqron_sql import new_job
from oqron_sql.adapters.sql import SQLAdapters
from oqron_sql.contract import JobState
from oqron_sql.queries.tx import Tx
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

QUEUE, ME = "extended", "me"
MINUTE = timedelta(minutes=1)
PATIENCE = 30.0


@pytest.fixture
def url(backend: str, backends: Backends) -> str:
    if backend != "pg-psycopg-blocking":
        pytest.skip("elsewhere, whoever is late holds up the other one, too, in a table so short")
    with installed():
        return backends.database(BACKENDS[backend]).url


class Lease(NamedTuple):
    """How one is had and extended, and the column that says when it ends."""

    have: Callable[[SQLAdapters], object]
    extend: Callable[[SQLAdapters], object]
    table: str
    ends: str


def have_job(on: SQLAdapters) -> None:
    on.store.save_job(QUEUE, new_job(QUEUE, "one"))
    assert on.store.fetch_next_job(QUEUE, ME, MINUTE) is not None


def extend_job(on: SQLAdapters) -> bool:
    (job,) = on.store.list_jobs(QUEUE, JobState.ACTIVE)
    return on.store.extend_lock(QUEUE, job.id, MINUTE, lease=job.lease)


def have_message(on: SQLAdapters) -> None:
    on.broker.publish(QUEUE, "id")
    assert on.broker.claim(QUEUE, ME, 1, MINUTE) == ["id"]


def have_lock(on: SQLAdapters) -> int | None:
    return on.lock.acquire(QUEUE, ME, MINUTE)


LEASES = {
    "job": Lease(have_job, extend_job, "jobs", "lock_until"),
    "message": Lease(
        have_message, lambda on: on.broker.extend_lock("id", ME, MINUTE, QUEUE), "messages", "due"
    ),
    "lock renewed": Lease(
        have_lock, lambda on: on.lock.renew(QUEUE, ME, MINUTE), "locks", "expires_at"
    ),
    "lock acquired": Lease(have_lock, have_lock, "locks", "expires_at"),
}


@pytest.mark.parametrize("kind", LEASES)
def test_a_call_that_is_overtaken_counts_from_when_it_is_written(url: str, kind: str) -> None:
    lease = LEASES[kind]
    with SQLAdapters(url) as adapters, ThreadPoolExecutor(1) as other:
        lease.have(adapters)
        with adapters.transaction() as host:
            host.store.run(lambda tx: ends(tx, lease))
            late = other.submit(lease.extend, adapters)
            host.store.run(lambda tx: wait_until_somebody_waits(tx.conn))
            lease.extend(host)
            told = host.store.run(lambda tx: ends(tx, lease))
        late.result()
        assert adapters.store.run(lambda tx: ends(tx, lease)) >= told


def ends(tx: Tx, lease: Lease) -> datetime:
    """Return when the lease ends; its row is locked as long as the transaction lasts."""
    column: sa.Column[datetime] = getattr(tx.tables, lease.table).c[lease.ends]
    found: datetime = tx.conn.execute(sa.select(column).with_for_update()).scalar_one()
    return found


def wait_until_somebody_waits(connection: sa.Connection) -> None:
    counting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + PATIENCE
    while not connection.scalar(counting):
        assert time.monotonic() < deadline
        time.sleep(0.05)
