"""What others do between two statements of one operation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import JobOptions, SQLStore, new_job
from oqron_sql.adapters.sql import SQLAdapters
from oqron_sql.contract import Clock, Deduplication
from oqron_sql.queries import locks
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

BLOCKING = ("sqlite", "pg-psycopg-blocking", "maria-pymysql")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def url(backend: str, backends: Backends) -> str:
    if backend not in BLOCKING:
        pytest.skip("another driver of its database blocks")
    with installed():
        return backends.database(BACKENDS[backend]).url


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """An engine of which one knows what is about to be executed."""
    made = sa.create_engine(url)
    yield made
    made.dispose()


@contextlib.contextmanager
def just_before(engine: sa.Engine, start: str, step: Callable[[], object]) -> Iterator[None]:
    """Take `step` before the first statement that begins so."""
    taken: list[str] = []

    def look(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(start) and not taken:
            taken.append(statement)
            step()

    sa.event.listen(engine, "before_cursor_execute", look)
    yield
    sa.event.remove(engine, "before_cursor_execute", look)
    assert taken, f"nothing began with {start!r}"


def test_of_two_first_sweeps_of_locks_the_higher_number_stays(
    url: str, engine: sa.Engine, backend: str
) -> None:
    if backend == "sqlite":
        pytest.skip("there, one sweeps after the other")
    clock = Clock()
    with SQLAdapters(engine, clock=clock) as ours, SQLAdapters(url, clock=clock) as theirs:
        for n in range(9):
            assert ours.lock.acquire("often", "me", MINUTE) == n + 1
            assert ours.lock.release("often", "me")
        assert ours.lock.acquire("once", "me", MINUTE) == 1
        clock.advance(HOUR)
        sweep = partial(theirs.store.run, locks.sweep_step)
        with just_before(engine, "INSERT INTO", sweep):
            assert ours.store.run(partial(locks.sweep_step, limit=1)) == 1
        assert ours.lock.acquire("often", "me", MINUTE) == 10


def test_a_bulk_that_waits_its_turn_saves_one_job_of_a_key(engine: sa.Engine) -> None:
    """The time of the key counts from when the first is saved, however long that took."""
    clock = Clock()
    opts = JobOptions(deduplication=Deduplication(key="key", ttl=MINUTE))
    first, second, third = (new_job("bulk", "one", opts=opts) for _ in range(3))
    with SQLStore(engine, clock=clock) as store:
        taking_turns = "UPDATE oqron_queues"
        with just_before(engine, taking_turns, lambda: clock.advance(HOUR)):
            assert store.save_bulk("bulk", [first, second]) == [first.id, first.id]
        assert store.save_job("bulk", third) == first.id
        clock.advance(HOUR)
        assert store.save_job("bulk", third) == third.id
