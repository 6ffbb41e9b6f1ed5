"""A worker in a process of its own: `python -m tests.runtime.victim URL SECONDS`.

Says on its standard output when it works and which jobs it begins; each takes so many seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from oqron_sql import AsyncSQLStore, Context, Worker
from tests.runtime.steps import QUEUE

LEASE = 1.0
CONCURRENCY = 4


def say(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


async def main(url: str, seconds: float) -> None:
    async with AsyncSQLStore(url) as store:
        worker = Worker(QUEUE, store, concurrency=CONCURRENCY, lease=LEASE, poll=0.1)

        @worker.handler("awaited")
        async def awaited(context: Context[Any]) -> int:
            say(context.id)
            await asyncio.sleep(seconds)
            return os.getpid()

        running = asyncio.create_task(worker.run())
        while not store.has_subscribers(QUEUE):
            await asyncio.sleep(0.001)
        say("working")
        await running
    say("closed")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
