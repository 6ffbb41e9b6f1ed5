"""A storm of cancellations: what is answered is what was asked, and no connection is lost."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest
import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, Complete, JobState, new_job
from oqron_sql.contract.async_adapters import AsyncBroker
from oqron_sql.queries.tx import Tx
from tests.backends import BACKENDS, Backends
from tests.conftest import installed
from tests.redis.harness import RedisHarness

R = TypeVar("R")
WANTED = 10_000 if os.environ.get("OQRON_FAULTS") == "1" else 300
"""How many calls are cancelled on each driver."""
CALLERS = 20
LONGEST = 0.01
"""How many seconds a call that will be cancelled has at most."""
AWAITABLE = [each.name for each in BACKENDS.values() if each.driver and not each.blocking]
LEASE = timedelta(hours=1)


class Storm:
    """Calls that are cancelled at any moment, and made again if an answer is wanted."""

    def __init__(self, seed: int = 1) -> None:
        self.rng, self.cancelled = random.Random(seed), 0

    @property
    def is_over(self) -> bool:
        return self.cancelled >= WANTED

    async def ask(self, call: Callable[[], Awaitable[R]]) -> R | None:
        """Make a call that is cancelled after a moment; None if it had not answered by then."""
        asked = asyncio.ensure_future(call())
        await asyncio.wait({asked}, timeout=self.rng.uniform(0, LONGEST))
        self.cancelled += asked.cancel()
        await asyncio.wait({asked})
        return None if asked.cancelled() else asked.result()

    async def insist(self, call: Callable[[], Awaitable[R]]) -> R:
        """Make a call again and again, and at last without a cancellation."""
        for _ in range(3):
            if (answer := await self.ask(call)) is not None:
                return answer
        return await call()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    asked = metafunc.config.getoption("backend")
    for fixture, names in (("driven", AWAITABLE), ("cached", ["redis"])):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, [name for name in names if not asked or name in asked])


@pytest.mark.timeout(600)
async def test_a_storm_over_a_store(driven: str, backends: Backends) -> None:
    with installed():
        url = backends.database(BACKENDS[driven]).url
    storm = Storm()
    async with AsyncSQLStore(url) as store:
        await asyncio.gather(*(jobs_of_one(storm, store, f"q{n}") for n in range(CALLERS)))
        pool = store._shell.source.engine.pool  # type: ignore[union-attr]
        assert isinstance(pool, sa.QueuePool)
        assert pool.checkedout() == 0
        while await store.run(sessions) > pool.checkedin() + 2:  # it asks, and one listens
            await asyncio.sleep(0.05)  # the server needs a moment to see that they were left


async def jobs_of_one(storm: Storm, store: AsyncSQLStore, queue: str) -> None:
    """Save, read, fetch and finish jobs of a queue that nobody else touches."""
    saved: set[str] = set()
    ended: set[str] = set()
    while not storm.is_over:
        job = new_job(queue, "one", {"of": queue, "n": len(saved)})
        assert await storm.insist(lambda: store.save_job(queue, job)) == job.id  # noqa: B023 - awaited at once
        saved.add(job.id)
        found = await storm.insist(lambda: store.get_job(queue, job.id))  # noqa: B023
        assert found is not None
        assert found.data == job.data
        held = await storm.ask(lambda: store.fetch_jobs(queue, queue, LEASE, 2)) or []
        assert {(each.queue_name, each.locked_by) for each in held} <= {(queue, queue)}
        assert not ended & {each.id for each in held}
        outcomes = [Complete(each) for each in held]
        settled = await storm.insist(lambda: store.finish_jobs(queue, outcomes))  # noqa: B023
        assert [(each.job_id, each.state) for each in settled] == [
            (each.id, JobState.COMPLETED) for each in held
        ]
        ended |= {each.id for each in held}
    counts = await store.get_job_counts(queue)
    assert sum(counts.values()) == len(saved)
    done = await store.list_jobs(queue, JobState.COMPLETED, 0, len(saved))
    assert {each.id for each in done} == ended


def sessions(tx: Tx) -> int:
    """Count the sessions that the server has for this database."""
    if tx.conn.dialect.name == "sqlite":
        return 0
    if tx.conn.dialect.name == "postgresql":
        counting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    else:
        counting = "SELECT count(*) FROM information_schema.processlist WHERE db = database()"
    return int(tx.conn.execute(sa.text(counting)).scalar_one())


@pytest.mark.timeout(600)
async def test_a_storm_over_a_broker(cached: str, backends: Backends) -> None:
    with installed():
        harness = RedisHarness(backends.server(cached))
    storm, broker = Storm(), await harness.broker()
    await asyncio.gather(*(ids_of_one(storm, broker, f"b{n}") for n in range(CALLERS)))
    await harness.close()


async def ids_of_one(storm: Storm, broker: AsyncBroker, name: str) -> None:
    """Publish, claim and acknowledge ids of a broker that nobody else touches.

    None is published again: the first request may still be on its way.
    """
    asked, published, acknowledged = 0, 0, set[str]()
    while not storm.is_over:
        id_ = f"{name}-{asked}"
        asked += 1
        published += await storm.ask(lambda: known(broker.publish(name, id_))) or 0  # noqa: B023
        for claim in await storm.ask(lambda: broker.claim(name, "me", 2, LEASE)) or []:
            assert claim.startswith(f"{name}-")
            assert claim not in acknowledged
            await storm.insist(lambda: broker.ack(name, claim))  # noqa: B023 - awaited at once
            acknowledged.add(str(claim))
    assert published <= await broker.size(name) + len(acknowledged) <= asked


async def known(publishing: Awaitable[object]) -> bool:
    await publishing
    return True
