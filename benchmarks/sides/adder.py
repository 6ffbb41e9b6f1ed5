"""Another process: adds a job for each line it reads, and says when it began to and when it had.

The instants are those of the monotonic clock, which processes of one machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop

from benchmarks.workload import QUEUE
from oqron_sql import AsyncSQLStore, Queue


async def main(url: str) -> None:
    """Add jobs until there are no more lines."""
    async with AsyncSQLStore(url) as store:
        queue, loop = Queue(QUEUE, store), asyncio.get_running_loop()
        print("ready", flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            begun = time.perf_counter()
            await queue.add("noop", 1)
            print(begun, time.perf_counter(), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
