"""What somebody else does between two statements of one call: here it is done just there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import SQLStore, new_job
from oqron_sql.contract import Complete, Deduplication, Job, JobOptions, JobState
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

QUEUE, OTHER = "interleaved", "elsewhere"
MINUTE = timedelta(minutes=1)
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


def once(engine: sa.Engine, when: str, *words: str, do: Callable[[], Any]) -> list[Any]:
    """Do something `when` a statement with all of the words is executed, the first time."""
    done: list[Any] = []

    def executing(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not done and all(word in statement for word in words):
            done.append(None)
            done[0] = do()

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
