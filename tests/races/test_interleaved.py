"""What somebody else does between two statements of one call: here it is done just there."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import SQLStore, new_job
from oqron_sql.contract import (
    Complete,
    Deduplication,
    FetchOptions,
    Group,
    Job,
    JobOptions,
    JobState,
    Release,
)
from oqron_sql.contract.options import ANY
from oqron_sql.testing.steps import with_parent
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

QUEUE, OTHER = "interleaved", "elsewhere"
MINUTE = timedelta(minutes=1)
PATIENCE = 30.0
SERVERS = ("pg-psycopg-blocking", "maria-pymysql")


@pytest.fixture
def url(backend: str, backends: Backends) -> str:
    if backend not in SERVERS:
        pytest.skip("a driver of each server is enough, and on SQLite nobody comes in between")
    with installed():
        return backends.database(BACKENDS[backend]).url


@pytest.fixture
def store(url: str) -> Iterator[SQLStore]:
    with SQLStore(url) as made:
        yield made


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    made = sa.create_engine(url)
    yield made
    made.dispose()


def once(
    engine: sa.Engine, when: str, *words: str, do: Callable[[], Any], nth: int = 1
) -> list[Any]:
    """Do something `when` the nth statement that has all of the words is executed."""
    if engine.dialect.name != "postgresql":
        pytest.skip(
            "in a table so short one call may hold up the other, and both are of one thread"
        )
    done: list[Any] = []
    seen = itertools.count(1)

    def executing(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if all(word in statement for word in words) and next(seen) == nth:
            done.append(do())

    sa.event.listen(engine, f"{when}_cursor_execute", executing)
    return done


def keyed(id_: str, ttl: timedelta | None = None) -> Job:
    options = JobOptions(job_id=id_, deduplication=Deduplication(key="key", ttl=ttl))
    return new_job(QUEUE, "one", opts=options)


def test_a_job_that_lives_again_takes_a_key_from_nobody(store: SQLStore, engine: sa.Engine) -> None:
    """It finds a holder whose time is over, and somebody else is saved with the key."""
    store.save_job(QUEUE, keyed("again"))
    leased = store.fetch_next_job(QUEUE, "worker", MINUTE)
    assert leased is not None
    store.finish_jobs(QUEUE, [Complete(leased)])
    old = keyed("over", ttl=timedelta(milliseconds=1))
    old.created_at = leased.created_at
    store.save_job(QUEUE, old)
    saved = once(
        engine, "after", "SELECT", "dedup_until <", do=lambda: store.save_job(QUEUE, keyed("new"))
    )
    with SQLStore(engine) as mine:
        assert mine.retry_jobs(QUEUE, JobState.COMPLETED) == 1
    assert saved == ["new"]
    holder = store.find_by_deduplication_key(QUEUE, "key")
    assert holder is not None
    assert holder.id == "new"


def test_a_job_saved_while_its_queue_is_obliterated_is_handed_out(
    store: SQLStore, engine: sa.Engine
) -> None:
    """Its transaction has found the row of its group, and ends when all is deleted."""
    options, turns = JobOptions(group=Group(id="g")), FetchOptions(group_concurrency=1)
    store.save_job(QUEUE, new_job(QUEUE, "old", opts=options))
    store.finish_jobs(QUEUE, [Complete(each) for each in fetch(store, turns)])
    with engine.connect() as conn, ThreadPoolExecutor(1) as other:
        store.using(conn).save_job(QUEUE, new_job(QUEUE, "new", opts=options))
        obliterating = other.submit(store.obliterate, QUEUE)
        wait_until_done_or_waiting(obliterating, engine)
        conn.commit()
        obliterating.result()
    saved = store.count_jobs(QUEUE, JobState.WAITING)  # MariaDB waits for it, and deletes it too
    assert len(fetch(store, turns)) == saved


def test_a_job_saved_when_the_others_are_deleted_is_handed_out(
    store: SQLStore, engine: sa.Engine
) -> None:
    options, turns = JobOptions(group=Group(id="g")), FetchOptions(group_concurrency=1)
    store.save_job(QUEUE, new_job(QUEUE, "old", opts=options))
    store.finish_jobs(QUEUE, [Complete(each) for each in fetch(store, turns)])
    new = new_job(QUEUE, "new", opts=options)
    once(engine, "after", "DELETE FROM oqron_jobs", do=lambda: store.save_job(QUEUE, new))
    with SQLStore(engine) as mine:
        mine.obliterate(QUEUE)
    assert [each.id for each in fetch(store, turns)] == [new.id]


def test_a_bound_is_kept_while_the_queue_is_obliterated(
    store: SQLStore, engine: sa.Engine, backend: str
) -> None:
    """The row that keeps others out is there when it is looked for, and when it is written."""
    if backend.startswith("maria"):
        pytest.skip("whoever looks for the row keeps it from being deleted")
    bound = FetchOptions(max_active=1)

    def obliterate() -> None:
        store.obliterate(QUEUE)
        store.save_bulk(QUEUE, [new_job(QUEUE, "one") for _ in range(2)])

    def make_the_row() -> None:
        assert fetch(store, bound) == []

    once(engine, "before", "INSERT", "oqron_queues", do=make_the_row)
    once(engine, "before", "UPDATE", "oqron_queues", do=obliterate, nth=2)
    with engine.connect() as conn, ThreadPoolExecutor(1) as other:
        assert len(fetch(store.using(conn), bound)) == 1
        waiting = other.submit(fetch, store, bound)
        wait_until_done_or_waiting(waiting, engine)
        conn.commit()
        assert waiting.result() == []


def test_a_child_that_ends_while_its_queue_is_obliterated_counts_once(
    store: SQLStore, engine: sa.Engine
) -> None:
    children = [new_job(QUEUE, "child"), new_job(OTHER, "child")]
    store.save_flow(with_parent(parent := new_job(OTHER, "parent"), *children))

    def finish() -> None:
        store.finish_jobs(QUEUE, [Complete(each) for each in fetch(store)])

    once(engine, "before", "DELETE", "history", do=finish)
    with SQLStore(engine) as mine:
        mine.obliterate(QUEUE)
    found = store.get_job(OTHER, parent.id)
    assert found is not None
    assert (found.state, found.pending_children_count) == (JobState.WAITING_CHILDREN, 1)


def test_a_job_that_ends_just_while_its_queue_is_obliterated_is_not_left(
    store: SQLStore, engine: sa.Engine, backend: str
) -> None:
    """It is active when the others are deleted, and no longer when active ones are looked for."""
    if backend.startswith("maria"):
        pytest.skip("whoever deletes the others holds it up")
    store.save_job(QUEUE, made := new_job(QUEUE, "one"))
    held: list[Job] = []
    once(engine, "before", "DELETE", "history", do=lambda: held.extend(fetch(store)))
    ended = once(
        engine,
        "after",
        "DELETE FROM oqron_jobs",
        do=lambda: store.finish_jobs(QUEUE, [Complete(held[0])]),
    )
    with SQLStore(engine) as mine:
        mine.obliterate(QUEUE)
    assert len(ended) == 1
    assert store.get_job(QUEUE, made.id) is None
    store.save_job(QUEUE, new_job(QUEUE, "new"))
    store.finish_jobs(QUEUE, [Complete(each) for each in fetch(store)])
    assert store.count_jobs(QUEUE, JobState.COMPLETED) == 1


def test_a_child_handed_back_while_its_queue_is_obliterated_is_told_of(
    store: SQLStore, engine: sa.Engine, backend: str
) -> None:
    """It is active when those whose parents are to be told are looked for, and waits then."""
    if backend.startswith("maria"):
        pytest.skip("whoever deletes the others holds it up")
    child, parent = new_job(QUEUE, "child"), new_job(OTHER, "parent")
    store.save_flow(with_parent(parent, child))
    held: list[Job] = []
    once(engine, "after", "count(", do=lambda: held.extend(fetch(store)))
    ended = once(
        engine,
        "before",
        "DELETE",
        "history",
        do=lambda: store.finish_jobs(QUEUE, [Release(held[0])]),
    )
    with SQLStore(engine) as mine:
        mine.obliterate(QUEUE)
    assert len(ended) == 1
    found = store.get_job(OTHER, parent.id)
    assert found is not None
    assert (store.get_job(QUEUE, child.id), found.state) == (None, JobState.WAITING)


def fetch(store: Any, opts: FetchOptions = ANY) -> list[Job]:
    found: list[Job] = store.fetch_jobs(QUEUE, "worker", MINUTE, 1, opts)
    return found


def wait_until_done_or_waiting(call: Future[Any], engine: sa.Engine) -> None:
    """Wait until a call is over, or waits for a lock of somebody else."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    if engine.dialect.name != "postgresql":
        waiting = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    deadline = time.monotonic() + PATIENCE
    with engine.connect() as conn:
        while not call.done() and not conn.scalar(sa.text(waiting)):
            assert time.monotonic() < deadline
            conn.rollback()
            time.sleep(0.05)
