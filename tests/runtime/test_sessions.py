"""A job that is saved in its host's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from oqron_sql import AsyncSQLStore, BlockingQueue, JobState, MemoryStore, Queue, SQLStore
from oqron_sql.errors import ConfigurationError
from oqron_sql.runtime import BlockingFlowProducer, FlowJob, FlowProducer
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.steps import HOUR, QUEUE


@contextmanager
def shop(tmp_path: Any) -> Iterator[tuple[SQLStore, sa.Engine]]:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    with SQLStore(engine) as store:
        yield store, engine
    engine.dispose()


def test_a_job_joins_the_transaction_of_its_host(tmp_path: Any) -> None:
    """It is there, and told of, when the host commits; after a rollback it never was."""
    told: list[str | None] = []
    with shop(tmp_path) as (store, engine):
        queue, flows = BlockingQueue(QUEUE, store), BlockingFlowProducer(store)
        store.subscribe(QUEUE, lambda event: told.append(event.job_id))
        for commits in (False, True):
            with Session(engine) as session:
                ids = [queue.add("job", PAYLOAD, session=session).id]
                ids += [each.id for each in queue.add_bulk([("job", 1)], session=session)]
                ids.append(queue.schedule(HOUR, "job", session=session).id)
                children = [FlowJob(QUEUE, "child")]
                tree = flows.add(FlowJob(QUEUE, "root", children=children), session=session)
                ids += [tree.children[0].job.id, tree.job.id]
                assert told == []
                (session.commit if commits else session.rollback)()
            assert told == (ids if commits else [])
            assert queue.counts()[JobState.WAITING] == (3 if commits else 0)


async def test_an_awaited_session_is_joined_too(tmp_path: Any) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop.db")
    told: list[str | None] = []
    async with AsyncSQLStore(engine) as store:
        queue, flows = Queue(QUEUE, store), FlowProducer(store)
        store.subscribe(QUEUE, lambda event: told.append(event.job_id))
        async with AsyncSession(engine) as session:
            job = await queue.add("job", PAYLOAD, session=session)
            flow = await flows.add(FlowJob(QUEUE, "root"), session=session)
            assert told == []
            await session.commit()
        assert told == [job.id, flow.job.id]
        assert (await queue.counts())[JobState.WAITING] == 2
    await engine.dispose()


def test_memory_has_no_transactions_to_join() -> None:
    queue = BlockingQueue(QUEUE, MemoryStore())
    with pytest.raises(ConfigurationError, match="a MemoryStore cannot join a transaction"):
        queue.add("job", PAYLOAD, session=object())
