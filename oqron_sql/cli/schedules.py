"""Series of jobs: `schedules list`, `show`, `add`, `pause`, `resume`, `remove`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

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
    read_span,
)
from oqron_sql.cli.printing import new_console, say
from oqron_sql.cli.schedule_changes import change, find
from oqron_sql.cli.schedule_views import print_schedule, print_schedules
from oqron_sql.contract import Schedule
from oqron_sql.contract.schedules import CatchUp
from oqron_sql.errors import InvalidInput
from oqron_sql.runtime import Queue
from oqron_sql.runtime.schedules import Series

app = typer.Typer(help="Look at schedules, and change them.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key of the schedule.")]


@app.command("list")
def list_(
    queue: Annotated[
        str | None, typer.Argument(metavar="[QUEUE]", help="Only those of this queue.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to list.")] = 100,
    offset: Annotated[int, typer.Option(min=0, max=2**31, help="How many to pass over.")] = 0,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """List schedules, by queue and key: when each is due, and how far it has come."""
    found = Database(url, prefix, schema).ask(
        lambda store: store.list_schedules(queue, offset, offset + limit)
    )
    print_schedules(found, as_json=as_json)


@app.command()
def show(
    queue: QueueName,
    key: Key,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Show all of a schedule, with what its jobs carry. Exit status: 1 if there is none."""
    database = Database(url, prefix, schema)
    found = database.ask(lambda store: find(store, queue, key, database))
    print_schedule(found, as_json=as_json)


@app.command()
def add(
    queue: QueueName,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What its jobs are named.")],
    cron: Annotated[
        str | None, typer.Option(help='Five fields, six with seconds first, or e.g. "@daily".')
    ] = None,
    every: Annotated[
        str | None, typer.Option(metavar="SPAN", help='An interval, e.g. "5 minutes" or 12h.')
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="What it is known by; the name of its jobs if left out.")
    ] = None,
    tz: Annotated[
        str | None, typer.Option(metavar="ZONE", help="The time zone of --cron; UTC if left out.")
    ] = None,
    data: Annotated[str, typer.Option(metavar="JSON", help="What its jobs carry.")] = "null",
    start: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="Not before, e.g. 2030-01-01T00:00Z.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="No more from this instant on.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many jobs in all.")] = None,
    catchup: Annotated[
        CatchUp, typer.Option(help="What becomes of slots that nobody was there for.")
    ] = "latest",
    attempts: Annotated[int, typer.Option(min=1, help="How often each job is tried.")] = 1,
    priority: Annotated[int, typer.Option(help="Lower runs first.")] = 0,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Begin a schedule, or let the one with this key go on as told now.

    It begins anew if --cron, --every, --tz or --start differ from before.
    """
    if (cron is None) == (every is None):
        raise typer.BadParameter("give either --cron or --every")
    if tz is not None and cron is None:
        raise typer.BadParameter("--tz goes with --cron: an interval has no clock")
    carried = _read_json(data)
    options: Series = {
        "key": key,
        "start": _read_instant("--start", start),
        "end": _read_instant("--end", end),
        "limit": limit,
        "catchup": catchup,
        "attempts": attempts,
        "priority": priority,
    }

    async def work(store: AsyncSQLStore) -> Schedule:
        wanted = Queue(queue, store)
        if cron is not None:
            return await wanted.cron(cron, name, carried, tz=tz, **options)
        return await wanted.every(read_span("--every", every or ""), name, carried, **options)

    made = Database(url, prefix, schema).ask(work)
    print_schedule(made, as_json=as_json)
    if made.over:
        say(new_console(stderr=True), "Note that it is over: no time is left for it.")


@app.command()
def pause(
    queue: QueueName,
    key: Key,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Fire no more slots of a schedule. Exit status: 1 if there is none."""
    change(
        Database(url, prefix, schema),
        (queue, key),
        lambda store: store.pause_schedule(queue, key),
        "is paused",
        as_json=as_json,
    )


@app.command()
def resume(
    queue: QueueName,
    key: Key,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Let a schedule go on, with its first slot from now on. Exit status: 1 if there is none."""
    change(
        Database(url, prefix, schema),
        (queue, key),
        lambda store: store.resume_schedule(queue, key),
        "goes on",
        as_json=as_json,
    )


@app.command()
def remove(
    queue: QueueName,
    key: Key,
    yes: Yes = False,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """End a schedule; the jobs that it made stay. Exit status: 1 if there is none."""
    confirm(f"End schedule {key!r} of queue {queue!r}?", yes=yes)
    change(
        Database(url, prefix, schema),
        (queue, key),
        lambda store: store.remove_schedule(queue, key),
        "is removed",
        as_json=as_json,
    )


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:  # which does not repeat what it was given
        raise typer.BadParameter(f"--data must be JSON: {error}") from None


def _read_instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(option, text, "must read like 2030-01-01T00:00Z") from None
    if instant.utcoffset() is None:
        raise InvalidInput(option, text, "needs a time zone, as in 2030-01-01T00:00Z")
    return instant
