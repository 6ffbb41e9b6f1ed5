"""`oqron-sql doctor`: the server, the tables and the queues, and what to do about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from oqron_sql import migrate
from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.cli.database import (
    DEFAULT_PREFIX,
    AsJson,
    Database,
    Prefix,
    Schema,
    Url,
    read_span,
)
from oqron_sql.cli.diagnosis import QueueHealth, judge, judge_schedules, look_at
from oqron_sql.cli.messages import FAILED, show_url
from oqron_sql.cli.printing import new_console, print_json, print_table, say, show_span
from oqron_sql.dialects import Examination, Finding
from oqron_sql.errors import SchemaOutOfDate, UnsupportedDatabase
from oqron_sql.queries.overview import list_known_queues
from oqron_sql.queries.tx import Tx

HEADINGS = ("queue", "waiting", "active", "delayed", "failed", "paused", "oldest", "lost")


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """All that was found; `healthy` unless something is wrong that is serious."""

    healthy: bool
    database: str
    server: str
    settings: Mapping[str, str]
    revision: str | None
    queues: Sequence[QueueHealth]
    findings: Sequence[Finding]


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """What the database told; of tables that are `outdated` nothing is read."""

    server: Examination
    outdated: SchemaOutOfDate | None = None
    queues: Sequence[QueueHealth] = ()
    schedules: Sequence[Finding] = ()


def doctor(
    max_wait: Annotated[
        str, typer.Option(metavar="SPAN", help="How long a job may wait before that is wrong.")
    ] = "10 minutes",
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong with the database, its tables and the queues, and say what to do.

    Exit status: 0 if nothing is wrong, 1 if something is, 2 if the database does not answer.
    """
    patience = read_span("--max-wait", max_wait)
    database = Database(url, prefix, schema)
    try:
        seen = database.ask(_look, migrate="off")
    except UnsupportedDatabase as error:
        seen = _Seen(Examination("cannot be used"))
        findings = [Finding(error.database, error.problem, error.remedy)]
    else:
        findings = [*seen.server.findings, *_judge_tables(seen.outdated, database)]
        findings += [each for queue in seen.queues for each in judge(queue, patience, database)]
        findings += seen.schedules
    report = Report(
        healthy=not any(finding.serious for finding in findings),
        database=show_url(database.address),
        server=seen.server.server,
        settings=seen.server.settings,
        revision=seen.outdated.current if seen.outdated else migrate.head(),
        queues=seen.queues,
        findings=findings,
    )
    if as_json:
        print_json(report)
    else:
        _print(new_console(), report)
    if not report.healthy:
        raise typer.Exit(FAILED)


async def _look(store: AsyncSQLStore) -> _Seen:
    server, outdated, now = await store.run(_examine)
    if outdated:
        return _Seen(server, outdated)
    queues = [await look_at(store, info, now) for info in await store.run(list_known_queues)]
    return _Seen(server, queues=queues, schedules=await judge_schedules(store, now))


def _examine(tx: Tx) -> tuple[Examination, SchemaOutOfDate | None, datetime]:
    names = tx.tables
    server = tx.dialect.examine(tx.conn, list(names.metadata.tables.values()))
    try:
        migrate.check(tx.conn, prefix=names.prefix, schema=names.schema)
    except SchemaOutOfDate as error:
        return server, error, tx.read_clock()
    return server, None, tx.read_clock()


def _judge_tables(outdated: SchemaOutOfDate | None, database: Database) -> list[Finding]:
    if outdated is None:
        return []
    missing = f"are missing{outdated.elsewhere}"
    found = f"are at revision {outdated.current!r}" if outdated.current else missing
    remedy = database.advised(outdated).remedy
    return [Finding("tables", f"{found}; needed is {outdated.expected!r}", remedy)]


def _print(console: Console, report: Report) -> None:
    say(console, f"database  {report.database}")
    say(console, f"server    {report.server}")
    for name, value in report.settings.items():
        say(console, f"          {name} = {value}")
    say(console, f"revision  {report.revision or 'none'}")
    if report.queues:
        say(console, "")
        print_table(console, HEADINGS, [_row(queue) for queue in report.queues])
    for finding in report.findings:
        say(console, "")
        mark, style = ("WRONG", "bold red") if finding.serious else ("note", "yellow")
        say(console, f"{mark}: {finding.about}: {finding.problem}.", style)
        say(console, f"    {finding.remedy}")
    say(console, "")
    say(console, "Nothing is wrong." if report.healthy else "Something is wrong.")


def _row(queue: QueueHealth) -> list[str | int]:
    paused = "paused" if queue.paused else ", ".join(queue.paused_names)
    counts = [queue.waiting, queue.active, queue.delayed, queue.failed]
    return [queue.name, *counts, paused, show_span(queue.oldest_waiting), queue.lost]
