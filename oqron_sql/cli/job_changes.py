"""What is done to jobs, one after the other or all at once, and how it is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

import typer

from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.cli.database import Database, refuse_unknown
from oqron_sql.cli.messages import FAILED, plural
from oqron_sql.cli.printing import new_console, print_json, say
from oqron_sql.contract import AsyncStore
from oqron_sql.contract.model import LIVE
from oqron_sql.errors import InvalidJobState, JobNotFound
from oqron_sql.runtime import Queue


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
        await Queue(queue, store).retry(job_id)

    async def every(store: AsyncStore) -> int:
        return await Queue(queue, store).retry()

    return _each(queue, job_ids, one) if job_ids is not None else _all(every)


def promote(queue: str, job_ids: Sequence[str] | None) -> Change:
    """Let delayed jobs, or every one, wait now."""

    async def one(store: AsyncStore, job_id: str) -> None:
        await Queue(queue, store).promote(job_id)

    async def every(store: AsyncStore) -> int:
        return await Queue(queue, store).promote()

    return _each(queue, job_ids, one) if job_ids is not None else _all(every)


def cancel(queue: str, job_ids: Sequence[str]) -> Change:
    """Stop jobs that run, fail those that have not begun."""

    async def one(store: AsyncStore, job_id: str) -> None:
        if not await Queue(queue, store).cancel(job_id):
            job = await store.get_job(queue, job_id)
            raise InvalidJobState(job_id, "unknown" if job is None else job.state, sorted(LIVE))

    return _each(queue, job_ids, one)


def remove(queue: str, job_ids: Sequence[str]) -> Change:
    """Delete jobs."""

    async def one(store: AsyncStore, job_id: str) -> None:
        if await store.get_job(queue, job_id) is None:
            raise JobNotFound(queue, job_id)
        await store.remove_job(queue, job_id)

    return _each(queue, job_ids, one)


def run(database: Database, queue: str, change: Change, done: str, *, as_json: bool) -> None:
    """Make a change and tell it; leave with status 1 if a job refused it."""

    async def work(store: AsyncSQLStore) -> Changed:
        made = await change(store)
        if not made.changed and not made.refused:
            await refuse_unknown(store, queue, database)
        return made

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


def _all(every: Callable[[AsyncStore], Awaitable[int]]) -> Change:
    async def change(store: AsyncStore) -> Changed:
        return Changed(await every(store))

    return change
