"""One worker process of the demo: `python -m oqron_sql.cli.demo_worker QUEUE WORKER_ID`.

The database's URL comes in the environment, where `ps` does not show it. The worker runs until its
standard input ends, be it that the parent closes it or that the parent is no more, and says on its
standard output, in lines of JSON, what it is doing.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.cli.demo_files import Stopped, analyse
from oqron_sql.cli.messages import explain
from oqron_sql.contract import AsyncStore, Complete, Fail, Job, JobState, JobUpdate, Outcome
from oqron_sql.errors import LeaseLost, OqronError

URL_VARIABLE = "OQRON_URL"
LEASE = timedelta(seconds=3)
HEARTBEAT = LEASE / 3
BATCH = 20
SETTLE_EVERY = 0.5
IDLE = 0.25
TELL_EVERY = 0.1
WAITING: JobUpdate = {"state": JobState.WAITING}

Tell = Callable[[str, int, str], None]


class Worker:
    """Leases files in batches, reads them, and records what it found, until told to stop."""

    def __init__(self, store: AsyncStore, queue: str, worker_id: str, tell: Tell) -> None:
        self.told = asyncio.Event()
        self._store, self._queue, self._id, self._tell = store, queue, worker_id, tell
        self._held: dict[str, Job] = {}
        self._outcomes: list[Outcome] = []
        self._done = 0
        self._settled_at = self._cared_at = time.monotonic()

    async def run(self) -> None:
        """Work until told to stop; then give back what was leased and not begun."""
        while not self.told.is_set():
            await self._care()
            jobs = await self._store.fetch_jobs(self._queue, self._id, LEASE, BATCH)
            if jobs:
                await self._work(jobs)
            else:
                self._tell("idle", self._done, "")
                await self._rest()
        self._tell("finished", self._done, "")

    async def _work(self, jobs: list[Job]) -> None:
        self._held = {job.id: job for job in jobs}
        for job in jobs:
            if self.told.is_set():
                break
            if job.id not in self._held:  # lost on the way: somebody else has it
                continue
            self._tell("reading", self._done, job.data)
            try:
                self._outcomes.append(await self._read(job))
            except Stopped:
                break
            if time.monotonic() - self._settled_at > SETTLE_EVERY:
                await self._settle()
        await self._settle()
        await self._give_back()

    async def _read(self, job: Job) -> Outcome:
        # In a thread, because a large file takes longer than a lease lasts.
        reading = asyncio.ensure_future(asyncio.to_thread(analyse, job.data, self.told.is_set))
        while not reading.done():
            await asyncio.wait([reading], timeout=HEARTBEAT.total_seconds())
            await self._care()
        try:
            return Complete(job, {**reading.result(), "worker": self._id})
        except OSError as error:
            return Fail(job, f"{type(error).__name__}: {error.strerror or error}")

    async def _settle(self) -> None:
        self._settled_at = time.monotonic()
        outcomes, self._outcomes = self._outcomes, []
        if not outcomes:
            return
        for settled in await self._store.finish_jobs(self._queue, outcomes):
            self._held.pop(settled.job_id, None)
            self._done += not settled.lost

    async def _care(self) -> None:
        """Keep our leases, and take back those of workers that died, once per heartbeat."""
        if time.monotonic() - self._cared_at < HEARTBEAT.total_seconds():
            return
        self._cared_at = time.monotonic()
        held = list(self._held.values())
        if held:
            for extension in await self._store.extend_locks(self._queue, held, LEASE):
                if extension.lost:
                    self._held.pop(extension.job_id, None)
        await self._store.recover_lost(self._queue)

    async def _give_back(self) -> None:
        for job in self._held.values():
            try:
                await self._store.update_job(self._queue, job.id, WAITING, lease=job.lease)
            except LeaseLost:
                continue
        self._held = {}

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self.told.wait(), IDLE)
        except TimeoutError:
            return


class Reporter:
    """Writes what the worker does to standard output, now and then, without ever waiting."""

    def __init__(self, output: int) -> None:
        self._output = output
        self._state, self._at = "", 0.0
        os.set_blocking(output, False)

    def __call__(self, state: str, done: int, file: str) -> None:
        """Say it, unless the same was said just now."""
        now = time.monotonic()
        if state == self._state and now - self._at < TELL_EVERY:
            return
        self._state, self._at = state, now
        line = json.dumps({"state": state, "done": done, "file": file[-300:]}) + "\n"
        try:
            os.write(self._output, line.encode())
        except OSError:  # the parent is busy, suspended or gone: the work does not depend on it
            return


async def _run(queue: str, worker_id: str) -> None:
    store = AsyncSQLStore(os.environ[URL_VARIABLE])
    worker = Worker(store, queue, worker_id, Reporter(sys.stdout.fileno()))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.told.set)
    loop.add_reader(sys.stdin.fileno(), _stop_at_the_end, loop, worker.told)
    await store.connect()
    try:
        await worker.run()
    finally:
        await store.disconnect()


def _stop_at_the_end(loop: asyncio.AbstractEventLoop, told: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        told.set()


def _main(arguments: list[str]) -> str | None:
    try:
        asyncio.run(_run(*arguments))
        return None
    except (OqronError, SQLAlchemyError) as error:
        return explain(error)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
