"""Another process that uses the same queue: `python -m tests.runtime.elsewhere`.

It does what each line of its input says, and answers with the id of the job it was about. From
`open URL` to `close` it is about one database: a process takes longer to start than most tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

from oqron_sql import AsyncSQLStore, Context, JobState, Queue, Worker
from tests.runtime.steps import QUEUE, ended, in_state, working


async def serve(store: AsyncSQLStore) -> None:
    """Do what is told, until that is to close."""
    queue, worker = Queue(QUEUE, store), Worker(QUEUE, store, poll=0.1)
    release = asyncio.Event()

    @worker.handler()
    async def wait(context: Context[Any]) -> str:
        context.progress(50)
        await release.wait()
        if context.name == "broken":
            raise ValueError("as it should")
        return "done elsewhere"

    said, at_work = "open", list[Worker]()
    async with contextlib.AsyncExitStack() as stack:
        while True:
            print(said, flush=True)
            match await listen():
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
                    if worker not in at_work:
                        at_work.append(await stack.enter_async_context(working(worker)))
                    await in_state(store, said, JobState.ACTIVE)
                case ["release", said]:
                    release.set()
                    await ended(store, said)
                    release.clear()
                case _:
                    return


async def listen() -> list[str]:
    """Return what is told next, nothing at the end."""
    line: str = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    return line.split()


async def main() -> None:
    """Serve one database after the other."""
    while told := await listen():
        async with AsyncSQLStore(told[1]) as store:
            await serve(store)
        print("closed", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
