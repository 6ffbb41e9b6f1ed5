"""The run of a demo: enqueue, watch, replace workers that died, until every job has ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Sequence

from oqron_sql.cli.demo_crew import Crew, Lease, Member, WorkersFailed
from oqron_sql.cli.demo_display import Display, Progress
from oqron_sql.cli.demo_worker import BATCH
from oqron_sql.cli.messages import plural
from oqron_sql.contract import AsyncStore, JobState, new_job

JOB_NAME = "analyse-file"
SAVE_AT_ONCE = 500
TICK = 0.15
KILL_AT = 0.2
FROZEN_AT_MOST = 1.0
MOST_DEATHS = 5
UNFINISHED = frozenset(JobState) - {JobState.COMPLETED, JobState.FAILED}


class Run:
    """One demo on a connected store."""

    def __init__(
        self, store: AsyncStore, queue: str, crew: Crew, display: Display, progress: Progress
    ) -> None:
        self._store, self._queue = store, queue
        self._crew, self._display, self._progress = crew, display, progress
        self._deaths_in_a_row = self._done_at_death = 0

    async def run(self, files: Sequence[str], workers: int, *, kill: bool) -> None:
        """Enqueue `files`, let `workers` processes do the work, and return when all has ended.

        With `kill`, one of them is killed while it holds leases.

        Raises:
            WorkersFailed: workers die by themselves, again and again.
        """
        enqueuing = asyncio.create_task(self._enqueue(files))
        try:
            for _ in range(workers):
                await self._crew.start()
            while True:
                enqueued = enqueuing.done() and enqueuing.result() is None
                if await self._look() and enqueued:
                    break
                if kill and self._progress.done >= KILL_AT * self._progress.total:
                    kill = not await self._kill_one()
                await asyncio.sleep(TICK)
        finally:
            enqueuing.cancel()
            await asyncio.wait([enqueuing])
        if kill:
            self._display.event("the work was over before a worker could be killed in it")

    async def _enqueue(self, files: Sequence[str]) -> None:
        for start in range(0, len(files), SAVE_AT_ONCE):
            some = files[start : start + SAVE_AT_ONCE]
            jobs = [new_job(self._queue, JOB_NAME, path) for path in some]
            await self._store.save_bulk(self._queue, jobs)

    async def _look(self) -> bool:
        """Look at everything once and show it; tell whether the store has nothing left to do."""
        counts = await self._store.get_job_counts(self._queue)
        self._progress.update(counts, time.monotonic())
        for member in self._crew.newly_dead():
            await self._replace(member)
        if self._progress.leased_by_dead:
            await self._watch_leases()
        self._display.show(self._progress)
        return not any(counts[state] for state in UNFINISHED)

    async def _replace(self, dead: Member) -> None:
        dead.died_at = time.monotonic()
        dead.leases = await self._leases_of(dead)
        said = f" ({dead.errors[-1]})" if dead.errors else ""
        self._display.event(
            f"worker {dead.number} (pid {dead.process.pid}) is dead, {dead.how_it_died}{said}; "
            f"it leaves {plural(len(dead.leases), 'leased job')}",
            "red",
        )
        self._give_up_if_hopeless(said)
        fresh = await self._crew.start()
        self._display.event(f"worker {fresh.number} (pid {fresh.process.pid}) takes its place")

    def _give_up_if_hopeless(self, said: str) -> None:
        if self._progress.done > self._done_at_death:
            self._deaths_in_a_row, self._done_at_death = 0, self._progress.done
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > MOST_DEATHS:
            raise WorkersFailed(self._deaths_in_a_row, said.strip(" ()") or "nothing")

    async def _watch_leases(self) -> None:
        """See how many of the dead workers' jobs have been taken back by the others."""
        for dead in self._crew.members:
            if not dead.returned < len(dead.leases):
                continue
            held = await self._leases_of(dead)
            dead.leases |= held  # a fetch may have been under way when the worker died
            dead.returned = len(dead.leases) - len(held)
            if not held:
                after = time.monotonic() - dead.died_at
                self._display.event(
                    f"recovered {plural(dead.returned, 'job')} of worker {dead.number}, "
                    f"{after:.1f} s after its death: the leases had run out",
                    "magenta",
                )

    async def _kill_one(self) -> bool:
        """Kill a worker that holds leases, if one can be caught with some."""
        for member in self._crew.alive():
            if member.state == "reading" and await self._caught(member):
                self._display.event(
                    f"killed worker {member.number} (pid {member.process.pid}) in mid-work", "red"
                )
                return True
        return False

    async def _caught(self, member: Member) -> bool:
        """Freeze the worker, see whether it holds leases, and only then kill it."""
        member.process.send_signal(signal.SIGSTOP)
        looking = asyncio.create_task(self._leases_of(member))
        try:
            # A worker frozen inside a transaction may keep us from reading: it surely is at work.
            await asyncio.wait([looking], timeout=FROZEN_AT_MOST)
            if looking.done() and not looking.result():
                return False
            member.killed = True
            member.process.kill()
            await looking
            return True
        finally:
            looking.cancel()
            with contextlib.suppress(ProcessLookupError):
                member.process.send_signal(signal.SIGCONT)

    async def _leases_of(self, member: Member) -> set[Lease]:
        most = BATCH * len(self._crew.members)
        active = await self._store.list_jobs(self._queue, JobState.ACTIVE, 0, most)
        return {(job.id, job.lease) for job in active if job.locked_by == member.worker_id}
