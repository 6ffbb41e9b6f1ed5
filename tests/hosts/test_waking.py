"""The commit of a host wakes a waiting worker, and nothing before it does.

Looking is put off for so long that nothing here could happen by it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from oqron_sql import Context, JobState, Worker
from oqron_sql.testing.steps import PAYLOAD
from tests.hosts.hosts import Either, Host, Transaction, settled
from tests.hosts.methods import QUEUE
from tests.hosts.test_queue import Application
from tests.runtime.steps import until

NEVER = 300


@pytest.mark.parametrize("whose", ["the same store", "a store of its own"])
async def test_a_worker_begins_with_the_commit(host: Host, whose: str) -> None:
    if whose != "the same store" and host.backend.server == "mariadb":
        pytest.skip("nothing tells other stores there: they look")
    queue = Application(host).queue
    store = host.bare if whose == "the same store" else host.store_on(host.url)
    await settled(store.connect())
    began: asyncio.Queue[str] = asyncio.Queue()
    worker = Worker(QUEUE, store, poll=NEVER)

    @worker.handler()
    async def begin(context: Context[Any]) -> None:
        began.put_nowait(context.name)

    try:
        async with worker:
            await queue.add("first", PAYLOAD)
            async with asyncio.timeout(30):
                assert await began.get() == "first"  # it listens, and is idle soon
            async with host.begin() as tx:
                await tx.note(1)
                await add(queue, tx, "undone")
                await tx.rollback()
                await tx.note(2)
                await add(queue, tx, "done")
                assert began.empty()
                await tx.commit()
            async with asyncio.timeout(30):
                assert await began.get() == "done"
            await until(lambda: none_is_active(host))
    finally:
        if store is not host.bare:
            await settled(store.disconnect())
    assert host.notes() == [2]


async def add(queue: Either, tx: Transaction, name: str) -> None:
    await queue.add(name, PAYLOAD, session=tx.handle.target)


async def none_is_active(host: Host) -> bool:
    return not await host.store.count_jobs(QUEUE, JobState.ACTIVE)
