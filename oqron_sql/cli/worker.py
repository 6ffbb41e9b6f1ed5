"""`oqron-sql worker`: a worker of the user's code as a process, or as several."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from functools import partial
from typing import Annotated

import typer

from oqron_sql.cli import worker_logs, worker_process
from oqron_sql.cli.database import DEFAULT_PREFIX, Database, Prefix, Schema, read_span
from oqron_sql.cli.messages import FAILED
from oqron_sql.cli.worker_loading import Changes, CodeFailed
from oqron_sql.cli.worker_logs import Level
from oqron_sql.cli.worker_process import Lifeline
from oqron_sql.cli.worker_supervisor import Supervisor
from oqron_sql.runtime.plan import check_lease

MOST = 2**16


def worker(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME",
            help="A Worker, a registry of Handlers, or a function that returns one of them.",
        ),
    ],
    queue: Annotated[
        str | None, typer.Option(help="Whose jobs to run, if it is a registry of handlers.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=256, help="How many processes.")] = 1,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="How many handlers run at a time in each.")
    ] = None,
    prefetch: Annotated[
        int | None, typer.Option(min=0, max=MOST, help="How many jobs are leased ahead at most.")
    ] = None,
    lease: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN",
            help="How long a job waits whose worker was killed: this, and up to a second more.",
        ),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="How long handlers have to end, once told to stop."),
    ] = None,
    log_level: Annotated[
        Level | None, typer.Option(help="How much is told. Default: info.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Log in JSON, for programs.")] = False,
    url: Annotated[
        str | None,
        typer.Option(help="Another database than the worker's own. Handlers take OQRON_URL, too."),
    ] = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
) -> None:
    """Run jobs until told to stop, by SIGTERM or Ctrl-C; told once more, it hurries.

    What runs is waited for, what has not begun is handed back. With several processes, one that
    dies is replaced. Exit status: 0 after an orderly end, 1 if the code or a process failed, 2 for
    wrong usage or a database that does not answer at the start.
    """
    changes = Changes(
        database=Database(url, prefix, schema),
        queue=queue,
        concurrency=concurrency,
        prefetch=prefetch,
        lease=None if lease is None else check_lease("--lease", read_span("--lease", lease)),
        grace=None if grace is None else read_span("--grace", grace),
    )
    begin_logging = partial(worker_logs.begin, log_level, as_json=as_json)
    lifeline = Lifeline.find()
    if processes > 1 and lifeline is None:
        if os.name == "nt":
            raise typer.BadParameter("several processes need a system with signals; start each one")
        begin_logging()
        raise typer.Exit(asyncio.run(Supervisor(processes).run()))
    try:
        worker_process.run(target, changes, begin_logging, lifeline)
    except CodeFailed as failed:
        traceback.print_exception(failed.__cause__)
        print(f"oqron-sql: {failed}", file=sys.stderr)
        raise typer.Exit(FAILED) from None
