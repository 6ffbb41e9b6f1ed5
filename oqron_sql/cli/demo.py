"""`oqron-sql demo`: real files, real worker processes, and one of them killed if you like."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import URL, make_url

from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.cli.demo_crew import Crew
from oqron_sql.cli.demo_display import Progress, display_for
from oqron_sql.cli.demo_files import NOT_PYTHONS_OWN, Found, find_files
from oqron_sql.cli.demo_report import account_for, print_summary
from oqron_sql.cli.demo_run import Run
from oqron_sql.cli.interruption import Interruption
from oqron_sql.cli.messages import FAILED, plural, refuse_private_memory, show_url
from oqron_sql.cli.printing import say
from oqron_sql.contract import AsyncStore, JobState
from oqron_sql.dialects.sqlite import COMPANIONS
from oqron_sql.engines import read_url
from oqron_sql.errors import ConfigurationError


def demo(
    path: Annotated[
        Path | None,
        typer.Argument(
            exists=True, help="A file or folder to read. Default: Python's own library."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="OQRON_URL",
            help="The database, e.g. sqlite:///demo.db or mysql+pymysql://user@host/db. "
            "Default: a SQLite file that is deleted afterwards.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many worker processes.")] = 4,
    kill: Annotated[
        bool, typer.Option("--kill", help="Kill one worker in mid-work and watch its jobs return.")
    ] = False,
) -> None:
    """Let worker processes read every file below PATH, one job each, and check the outcome.

    Each worker notes a file's size, lines, SHA-256 and most frequent words. At the end the
    database is asked whether every file has exactly one completed job. Exit status: 0 if so, 1 if
    not, 2 for wrong usage or a database that does not answer, 130 after Ctrl-C.
    """
    with _database(url) as (store, address, note):
        found = _find(path, address)
        console = Console(highlight=False)
        queue = f"demo-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        say(console, f"files     {plural(len(found.files), 'file')} below {found.root}")
        say(console, f"database  {show_url(address)}{note}")
        say(console, f"queue     {queue}, {plural(workers, 'worker')}")
        status = asyncio.run(_demo(console, store, address, queue, found, workers, kill=kill))
    raise typer.Exit(status)


async def _demo(
    console: Console,
    store: AsyncSQLStore,
    url: URL,
    queue: str,
    found: Found,
    workers: int,
    *,
    kill: bool,
) -> int:
    crew = Crew(url.render_as_string(hide_password=False), queue)
    progress = Progress(found.root, len(found.files), crew.members)
    interruption = Interruption(crew.kill)
    try:
        await store.connect()
        with display_for(console) as display:
            try:
                async with crew:
                    run = Run(store, queue, crew, display, progress)
                    await run.run(list(found.files), workers, kill=kill)
                    progress.ended = time.monotonic()
            finally:
                display.show(progress)
        account = await account_for(store, queue, found)
    except asyncio.CancelledError:
        if not interruption.came():
            raise
        say(console, f"Interrupted. {await _what_is_left(store, queue, progress)}", "yellow")
        return interruption.status
    finally:
        await store.disconnect()
    print_summary(console, account, found, crew.members, progress.elapsed)
    return FAILED if account.problems else 0


async def _what_is_left(store: AsyncStore, queue: str, progress: Progress) -> str:
    if not progress.counts:
        return "Nothing had been done yet."
    counts = await store.get_job_counts(queue)
    done, leased = counts[JobState.COMPLETED], counts[JobState.ACTIVE]
    return (
        f"{done:,} of {progress.total:,} files are done; queue {queue} is left with "
        f"{counts[JobState.WAITING]:,} waiting jobs, {leased:,} leased and "
        f"{counts[JobState.FAILED]:,} failed."
    )


@contextlib.contextmanager
def _database(url: str | None) -> Iterator[tuple[AsyncSQLStore, URL, str]]:
    """Give a store that is not connected yet, its URL, and what is to be known of it."""
    if url is not None:
        store = AsyncSQLStore(url)  # refuses what it cannot use, and says why
        address = read_url(url)
        refuse_private_memory(address)
        yield store, address, ""
        return
    with tempfile.TemporaryDirectory(prefix="oqron-demo-") as folder:
        address = make_url(f"sqlite:///{folder}/demo.db")
        yield AsyncSQLStore(address), address, ", deleted at the end"


def _find(path: Path | None, database: URL) -> Found:
    if path is None:
        found = find_files(sysconfig.get_path("stdlib"), skip=NOT_PYTHONS_OWN)
    else:
        found = find_files(str(path))
    if database.host is None and database.database:
        # It changes while we look, and may well lie among what is read.
        for companion in COMPANIONS:
            found.files.pop(os.path.abspath(database.database) + companion, None)
    if not found.files:
        reason = " that can be listed" if found.closed else ""
        raise ConfigurationError(f"there is nothing to read: no regular file{reason} in {path}")
    return found
