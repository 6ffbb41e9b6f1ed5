"""Another process that uses the same queue: `python -m tests.runtime.elsewhere URL`.

It does what each line of its input says, and answers with the id of the job it was about.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from oqron_sql import AsyncSQLStore, Context, JobState, Queue, Worker
from tests.runtime.steps import QUEUE, ended, in_state


async def main(url: str) -> None:
    async with AsyncSQLStore(url) as store:
        queue, worker = Queue(QUEUE, store), Worker(QUEUE, store, poll=0.1)
        release = asyncio.Event()

        @worker.handler()
        async def wait(context: Context[Any]) -> str:
            context.progress(50)
            await release.wait()
            if context.name == "broken":
                raise ValueError("as it should")
            return "done elsewhere"

        loop, said, working = asyncio.get_running_loop(), "ready", False
        while True:
            print(said, flush=True)
            words = (await loop.run_in_executor(None, sys.stdin.readline)).split()
            match words:
                case ["add", name]:
                    said = (await queue.add(name)).id
                case ["schedule", seconds]:
                    said = (await queue.schedule(float(seconds), "job")).id
                case ["promote", said]:
                    await queue.promote(said)
                case ["retry", said]:
                    await queue.retry(said)
                case ["resume", said]:
                    await queue.resume()
                case ["cron", said]:
                    await queue.cron("* * * * * *", said, limit=1)
                case ["go-on", said]:
                    await queue.schedules.resume(said)
                case ["work", said]:
                    if not working:
                        await worker.start()
                    working = True
                    await in_state(store, said, JobState.ACTIVE)
                case ["release", said]:
                    release.set()
                    await ended(store, said)
                    release.clear()
                case _:
                    return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
