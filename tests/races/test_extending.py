"""Leases that are extended twice at once, of which the first call comes last."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from oqron_sql import SQLStore, new_job
from oqron_sql.schema.tables import tables
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

QUEUE = "extended"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PATIENCE = 30.0


@pytest.fixture
def url(backend: str, backends: Backends) -> str:
    if backend != "pg-psycopg-blocking":
        pytest.skip("elsewhere, whoever is late holds up the other one, too, in a table so short")
    with installed():
        return backends.database(BACKENDS[backend]).url


def test_a_call_that_comes_late_cuts_nothing_short(url: str) -> None:
    """It waits for the row of one job, while the lease of another is extended for longer."""
    jobs, engine = tables().jobs, sa.create_engine(url)
    with SQLStore(url) as store, ThreadPoolExecutor(1) as other, engine.connect() as rival:
        store.save_bulk(QUEUE, [new_job(QUEUE, "one") for _ in range(2)])
        first, second = store.fetch_jobs(QUEUE, "me", MINUTE, 2)
        row = sa.select(jobs.c.seq).where(jobs.c.seq == first.seq)
        rival.execute(row.with_for_update())
        late = other.submit(store.extend_locks, QUEUE, [first, second], MINUTE)
        wait_until_somebody_waits(rival)
        (told,) = store.extend_locks(QUEUE, [second], HOUR)
        rival.rollback()
        assert late.result()[0].lock_until is not None
        found = store.get_job(QUEUE, second.id)
        assert found is not None
        assert found.lock_until == told.lock_until
    engine.dispose()


def wait_until_somebody_waits(connection: sa.Connection) -> None:
    counting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + PATIENCE
    while not connection.scalar(counting):
        assert time.monotonic() < deadline
        time.sleep(0.05)
