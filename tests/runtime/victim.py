"""A worker in a process of its own: it says which jobs it begins; each takes so many seconds."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from oqron_sql import AsyncSQLStore, Context, Worker
from tests.forked import READY, Wire
from tests.runtime.steps import QUEUE

LEASE = 1.0
CONCURRENCY = 4


def victim(wire: Wire, url: str, seconds: float) -> None:
    """Work until told to stop, be ready when it does, and say so when it has closed."""
    asyncio.run(_work(wire, url, seconds))
    wire.say("closed")


async def _work(wire: Wire, url: str, seconds: float) -> None:
    async with AsyncSQLStore(url) as store:
        worker = Worker(QUEUE, store, concurrency=CONCURRENCY, lease=LEASE, poll=0.1)

        @worker.handler("awaited")
        async def awaited(context: Context[Any]) -> int:
            wire.say(context.id)
            await asyncio.sleep(seconds)
            return os.getpid()

        running = asyncio.create_task(worker.run())
        while not store.has_subscribers(QUEUE):
            await asyncio.sleep(0.001)
        wire.say(READY)
        await running
