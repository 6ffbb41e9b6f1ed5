"""The application that the commands are registered with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from oqron_sql.cli import jobs, migrating, schedules
from oqron_sql.cli.bench import bench
from oqron_sql.cli.demo import demo
from oqron_sql.cli.doctor import doctor
from oqron_sql.cli.queues import clean, pause, queues, resume
from oqron_sql.cli.worker import worker

app = typer.Typer(
    help="Durable background jobs in the database your application already has.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        print(f"oqron-sql {version('oqron-sql')}")
    except PackageNotFoundError:
        print("oqron-sql, run from its sources without being installed")
    raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    """Take the options that go before any command."""


app.command()(worker)
app.command()(queues)
app.add_typer(jobs.app, name="jobs")
app.add_typer(schedules.app, name="schedules")
app.command()(pause)
app.command()(resume)
app.command()(clean)
app.add_typer(migrating.app, name="migrate")
app.command()(doctor)
app.command()(bench)
app.command()(demo)
