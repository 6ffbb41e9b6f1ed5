"""Single jobs: `jobs list`, `show`, `retry`, `cancel`, `promote`, `remove`."""

from __future__ import annotations

from typing import Annotated

import typer

from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.cli import job_changes
from oqron_sql.cli.database import (
    DEFAULT_PREFIX,
    AsJson,
    Database,
    Prefix,
    QueueName,
    Schema,
    Url,
    Yes,
    confirm,
    refuse_unknown,
)
from oqron_sql.cli.job_views import print_job, print_jobs
from oqron_sql.cli.messages import plural
from oqron_sql.contract import Job, JobState, SearchFilter, SearchResult
from oqron_sql.contract.checks import check_name
from oqron_sql.errors import JobNotFound

app = typer.Typer(help="Look at single jobs, and change them.", no_args_is_help=True)

JobId = Annotated[str, typer.Argument(metavar="ID", help="The id of the job.")]
JobIds = Annotated[list[str], typer.Argument(metavar="ID", help="The ids of the jobs.")]
JobIdsOrNone = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="The ids of the jobs.")
]


@app.command("list")
def list_(
    queue: QueueName,
    state: Annotated[
        list[JobState] | None,
        typer.Option(help="Only those in this state; may be repeated."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Only those whose name contains this, whatever its case.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to list.")] = 50,
    offset: Annotated[int, typer.Option(min=0, max=2**31, help="How many to pass over.")] = 0,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first, without their payloads. Exit status: 1 for an unknown queue."""
    database = Database(url, prefix, schema)

    async def work(store: AsyncSQLStore) -> SearchResult:
        # A search takes an empty name for all queues.
        wanted = SearchFilter(
            queue_name=check_name("queue", queue), states=tuple(state or ()), name=name
        )
        found = await store.search_jobs(wanted, offset, offset + limit)
        if not found.total:
            await refuse_unknown(store, queue, database)
        return found

    print_jobs(database.ask(work), as_json=as_json)


@app.command()
def show(
    queue: QueueName,
    job_id: JobId,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Show all of a job: payload, result, logs, attempts. Exit status: 1 if there is none."""

    async def work(store: AsyncSQLStore) -> Job:
        job = await store.get_job(queue, job_id)
        if job is None:
            raise JobNotFound(queue, job_id)
        return job

    print_job(Database(url, prefix, schema).ask(work), as_json=as_json)


@app.command()
def retry(
    queue: QueueName,
    job_ids: JobIdsOrNone = None,
    every: Annotated[bool, typer.Option("--all", help="Every failed job of the queue.")] = False,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Let jobs that have ended wait again, as if they had never run.

    Exit status: 1 if one of them is not there or has not ended.
    """
    ids = job_changes.one_or_all(job_ids, every=every)
    change = job_changes.retry(queue, ids)
    job_changes.run(Database(url, prefix, schema), queue, change, "retried", as_json=as_json)


@app.command()
def cancel(
    queue: QueueName,
    job_ids: JobIds,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Stop jobs that run, and let those that have not begun fail.

    Exit status: 1 if one of them is not there or has ended.
    """
    change = job_changes.cancel(queue, job_ids)
    job_changes.run(Database(url, prefix, schema), queue, change, "cancelled", as_json=as_json)


@app.command()
def promote(
    queue: QueueName,
    job_ids: JobIdsOrNone = None,
    every: Annotated[bool, typer.Option("--all", help="Every delayed job of the queue.")] = False,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Let delayed jobs run now. Exit status: 1 if one of them is not there or not delayed."""
    ids = job_changes.one_or_all(job_ids, every=every)
    change = job_changes.promote(queue, ids)
    job_changes.run(Database(url, prefix, schema), queue, change, "promoted", as_json=as_json)


@app.command()
def remove(
    queue: QueueName,
    job_ids: JobIds,
    yes: Yes = False,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Delete jobs in any state; the worker of an active one loses it.

    Exit status: 1 if one of them is not there.
    """
    confirm(f"Delete {plural(len(job_ids), 'job')} of queue {queue!r}?", yes=yes)
    change = job_changes.remove(queue, job_ids)
    job_changes.run(Database(url, prefix, schema), queue, change, "removed", as_json=as_json)
