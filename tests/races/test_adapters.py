"""Ids between processes: none is lost or handed out twice; a transaction is all or nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from oqron_sql.adapters.sql import SQLAdapters
from oqron_sql.contract.adapters import BrokerCounts, Message
from tests.backends import BACKENDS, BLOCKING_DRIVERS, Backends
from tests.conftest import installed
from tests.forked import playing
from tests.races.consumer import LONG, QUEUE, SPACE, consume, fail, pair

IDS = 300
STRATEGIES = ("fifo", "lifo", "priority", "fifo")
RACING = ("sqlite", "pg-asyncpg", "maria-pymysql")


@pytest.fixture
def url(backend: str, backends: Backends) -> str:
    if backend not in RACING:
        pytest.skip("its processes would race as those of another backend do")
    with installed():
        made = sa.make_url(backends.database(BACKENDS[backend]).url)
    server = BACKENDS[backend].server
    if server is not None:
        made = made.set(drivername=f"{made.get_backend_name()}+{BLOCKING_DRIVERS[server]}")
    return made.render_as_string(hide_password=False)


@pytest.fixture
def adapters(url: str) -> Iterator[SQLAdapters]:
    with SQLAdapters(url) as made:
        yield made


def fill(adapters: SQLAdapters) -> set[str]:
    messages = [Message(f"id-{n}", priority=n % 3) for n in range(IDS)]
    adapters.broker.publish_batch(QUEUE, messages)
    return {message.id for message in messages}


def test_every_id_is_handed_out_once(url: str, adapters: SQLAdapters) -> None:
    ids = fill(adapters)
    with playing(*((consume, "drain", url, each) for each in STRATEGIES)) as processes:
        for process in processes:
            process.say("go")
        taken = [each for process in processes for batch in process.rest() for each in batch]
    assert Counter(taken) == Counter(ids)
    assert adapters.broker.size(QUEUE) == 0


def test_nothing_is_lost_when_claimants_are_killed(url: str, adapters: SQLAdapters) -> None:
    """What they had claimed is claimed by others; what one says is done is done by nobody else."""
    ids = fill(adapters)
    with playing(*((consume, "survive", url, each) for each in STRATEGIES)) as processes:
        for process in processes:
            process.say("go")
        *victims, survivor = processes
        said = []
        for process in victims:
            said += [process.hear() for _ in range(20)]
            said += process.kill()
        said += survivor.rest()
    done = Counter(each for each, what in said if what == "done")
    # One that was acknowledged may not have lived to say so.
    assert set(done) <= ids
    assert len(ids - set(done)) <= len(victims)
    assert max(done.values()) == 1
    assert adapters.broker.size(QUEUE) == 0


def test_a_transaction_that_is_killed_was_all_or_nothing(url: str, adapters: SQLAdapters) -> None:
    broker, storage = adapters.broker, adapters.storage
    with playing((fail, url)) as (process,):
        for number, (step, point) in enumerate(
            (step, point) for step in ("publish", "ack", "nack") for point in range(3)
        ):
            if step != "publish":
                broker.publish(QUEUE, f"id-{number}")
                assert broker.claim(QUEUE, "me", 1, LONG) == [f"id-{number}"]
            process.say([step, number, point])
            assert process.hear() == "dead"
            committed = point == 2
            before = BrokerCounts(claimed=int(step != "publish"))
            after = BrokerCounts(waiting=int(step != "ack"))
            counts = until_settled(adapters, after if committed else before)
            saved = storage.get(SPACE, f"id-{number}")
            assert (saved is not None, counts) == (committed, after if committed else before)
            broker.remove(QUEUE, f"id-{number}")


def until_settled(adapters: SQLAdapters, expected: BrokerCounts) -> BrokerCounts:
    """Return the counts; a server may take a moment to notice that a client is gone."""
    deadline = time.monotonic() + 5
    while (counts := adapters.broker.counts(QUEUE)) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return counts


def test_whenever_it_is_killed(url: str, adapters: SQLAdapters) -> None:
    """In the middle of a statement or of the commit, too."""
    for delay in (0.02, 0.05, 0.11):
        with playing((pair, url)) as (process,):
            time.sleep(delay)  # not for luck: wherever it is then is a case
            process.kill()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with adapters.transaction() as tx:
                saved, published = tx.storage.count(SPACE), tx.broker.size(QUEUE)
            if saved == published:
                break
        assert saved == published
    assert published
