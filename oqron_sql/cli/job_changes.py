"""What is done to jobs, one after the other or all at once, and how it is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

import typer

from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.cli.database import Database, refuse_unknown
from oqron_sql.cli.messages import FAILED, plural
from oqron_sql.cli.printing import new_console, print_json, say
from oqron_sql.contract import AsyncStore, JobState, JobUpdate
from oqron_sql.errors import InvalidJobState, JobNotFound

ENDED = (JobState.COMPLETED, JobState.FAILED)
AS_DUE: JobUpdate = {"state": JobState.WAITING, "delay_until": None}
AS_NEW: JobUpdate = {
    **AS_DUE,
    "attempts_made": 0,
    "progress": 0,
    "returnvalue": None,
    "failed_reason": None,
    "stacktrace": [],
    "processed_at": None,
    "completed_at": None,
    "failed_at": None,
    "cancelled_at": None,
    "discarded": False,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Changed:
    """How many jobs were changed, and why the others were not, by their ids."""

    changed: int = 0
    refused: dict[str, str] = dataclasses.field(default_factory=dict)


Change = Callable[[AsyncStore], Awaitable[Changed]]
One = Callable[[AsyncStore, str], Awaitable[None]]


def one_or_all(job_ids: Sequence[str] | None, *, every: bool) -> Sequence[str] | None:
    """Return the ids, or None for all jobs.

    Raises:
        BadParameter: both are given, or none.
    """
    if every == bool(job_ids):
        raise typer.BadParameter("give either ids of jobs or --all")
    return None if every else job_ids


def retry(queue: str, job_ids: Sequence[str] | None) -> Change:
    """Let jobs that have ended, or every failed one, wait again."""

    async def one(store: AsyncStore, job_id: str) -> None:
        await store.update_job(queue, job_id, AS_NEW, expected_state=ENDED)

    async def every(store: AsyncStore) -> int:
        return await store.retry_jobs(queue, JobState.FAILED)

    return _each(queue, job_ids, one) if job_ids is not None else _all(queue, every)


def promote(queue: str, job_ids: Sequence[str] | None) -> Change:
    """Let delayed jobs, or every one, wait now."""

    async def one(store: AsyncStore, job_id: str) -> None:
        await store.update_job(queue, job_id, AS_DUE, expected_state=JobState.DELAYED)

    async def every(store: AsyncStore) -> int:
        return await store.promote_jobs(queue)

    return _each(queue, job_ids, one) if job_ids is not None else _all(queue, every)


def cancel(queue: str, job_ids: Sequence[str]) -> Change:
    """Mark active jobs as cancelled."""

    async def one(store: AsyncStore, job_id: str) -> None:
        if not await store.cancel_job(queue, job_id):
            job = await store.get_job(queue, job_id)
            state = "unknown" if job is None else job.state
            raise InvalidJobState(job_id, state, [JobState.ACTIVE])

    return _each(queue, job_ids, one)


def remove(queue: str, job_ids: Sequence[str]) -> Change:
    """Delete jobs."""

    async def one(store: AsyncStore, job_id: str) -> None:
        if await store.get_job(queue, job_id) is None:
            raise JobNotFound(queue, job_id)
        await store.remove_job(queue, job_id)

    return _each(queue, job_ids, one)


def run(database: Database, change: Change, done: str, *, as_json: bool) -> None:
    """Make a change and tell it; leave with status 1 if a job refused it."""

    async def work(store: AsyncSQLStore) -> Changed:
        return await change(store)

    made = database.ask(work)
    if as_json:
        print_json(made)
    else:
        say(new_console(), f"{plural(made.changed, 'job')} {done}.")
        errors = new_console(stderr=True)
        for reason in made.refused.values():
            say(errors, f"oqron-sql: {reason}")
    if made.refused:
        raise typer.Exit(FAILED)


def _each(queue: str, job_ids: Sequence[str], one: One) -> Change:
    async def change(store: AsyncStore) -> Changed:
        refused: dict[str, str] = {}
        ids = list(dict.fromkeys(job_ids))
        for job_id in ids:
            try:
                await one(store, job_id)
            except (InvalidJobState, JobNotFound) as error:
                unknown = isinstance(error, InvalidJobState) and error.current == "unknown"
                refused[job_id] = str(JobNotFound(queue, job_id) if unknown else error)
        return Changed(len(ids) - len(refused), refused)

    return change


def _all(queue: str, every: Callable[[AsyncStore], Awaitable[int]]) -> Change:
    async def change(store: AsyncStore) -> Changed:
        changed = await every(store)
        if not changed:
            await refuse_unknown(store, queue)
        return Changed(changed)

    return change
