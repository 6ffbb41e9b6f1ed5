"""Whole queues: `queues`, `pause`, `resume`, `clean`."""

from __future__ import annotations

from typing import Annotated

import typer

from oqron_sql.async_store import AsyncSQLStore
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
    did_you_mean,
    read_span,
    refuse_unknown,
)
from oqron_sql.cli.messages import plural
from oqron_sql.cli.printing import new_console, print_json, print_table, say, show_instant
from oqron_sql.contract import JobState, QueueInfo
from oqron_sql.queries.overview import list_known_queues

WHOLE_QUEUE = "__all__"
SHOWN = (
    JobState.WAITING,
    JobState.DELAYED,
    JobState.WAITING_CHILDREN,
    JobState.ACTIVE,
    JobState.FAILED,
    JobState.COMPLETED,
)

JobName = Annotated[str | None, typer.Option("--name", help="Only the jobs of that name.")]


def queues(
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """List the queues that have a job or are paused, and how many jobs are in which state."""
    found = Database(url, prefix, schema).ask(lambda store: store.run(list_known_queues))
    if as_json:
        print_json(found)
        return
    console = new_console()
    if not found:
        say(console, "No queue has any job.")
        return
    headings = ("queue", *SHOWN, "paused", "latest activity")
    print_table(console, headings, [_row(info) for info in found])


def _row(info: QueueInfo) -> list[str | int]:
    counts = [info.counts[state] for state in SHOWN]
    paused = "paused" if info.is_paused else ""
    return [info.name, *counts, paused, show_instant(info.latest_activity)]


def pause(
    queue: QueueName,
    name: JobName = None,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Hand out no more jobs of the queue; those that run go on."""

    async def work(store: AsyncSQLStore) -> tuple[list[str], list[str]]:
        await store.pause_job_name(queue, name or WHOLE_QUEUE)
        with_jobs = [info.name for info in await store.list_queues()]
        return await store.get_paused_job_names(queue), with_jobs

    paused, with_jobs = Database(url, prefix, schema).ask(work)
    _tell_paused(queue, paused, as_json=as_json)
    if queue not in with_jobs:
        hint = did_you_mean(queue, with_jobs)
        note = f"Note that queue {queue!r} has no jobs (yet)"
        say(new_console(stderr=True), f"{note}; {hint}" if hint else f"{note}.")


def resume(
    queue: QueueName,
    name: JobName = None,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Hand out jobs of the queue again; nothing happens if they already are."""

    async def work(store: AsyncSQLStore) -> list[str]:
        await store.resume_job_name(queue, name or WHOLE_QUEUE)
        return await store.get_paused_job_names(queue)

    _tell_paused(queue, Database(url, prefix, schema).ask(work), as_json=as_json)


def _tell_paused(queue: str, paused: list[str], *, as_json: bool) -> None:
    """Tell what is paused now, whoever did it."""
    whole, names = WHOLE_QUEUE in paused, [name for name in paused if name != WHOLE_QUEUE]
    if as_json:
        print_json({"queue": queue, "paused": whole, "paused_names": names})
        return
    state = "is paused" if whole else "is not paused"
    but = f"; paused by name: {', '.join(map(repr, names))}" if names else ""
    say(new_console(), f"Queue {queue!r} {state}{but}.")


def clean(
    queue: QueueName,
    state: Annotated[
        list[JobState], typer.Option(help="The state of the jobs to delete; may be repeated.")
    ],
    older_than: Annotated[
        str,
        typer.Option(metavar="SPAN", help='How old they are at least, e.g. "7 days" or 12h.'),
    ],
    limit: Annotated[
        int | None, typer.Option(min=1, max=2**31, help="Delete no more than so many.")
    ] = None,
    yes: Yes = False,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Delete old jobs of the queue, in small steps.

    Age counts from the end of a job that has ended, from its creation otherwise.
    """
    grace = read_span("--older-than", older_than)
    states = list(dict.fromkeys(state))
    what = f"{' and '.join(states)} jobs of queue {queue!r} that are older than {older_than}"
    confirm(f"Delete the {what}?", yes=yes)
    database = Database(url, prefix, schema)

    async def work(store: AsyncSQLStore) -> int:
        deleted = 0
        for each in states:
            left = None if limit is None else limit - deleted
            deleted += await store.clean(queue, each, grace, limit=left)
        if not deleted:
            await refuse_unknown(store, queue, database)
        return deleted

    deleted = database.ask(work)
    if as_json:
        print_json({"queue": queue, "deleted": deleted})
    else:
        say(new_console(), f"Deleted {plural(deleted, 'job')} of queue {queue!r}.")
