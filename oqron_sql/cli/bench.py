"""`oqron-sql bench`: databases, drivers and other queues at the same work."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import URL

from oqron_sql import dialects
from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.bench import plot
from oqron_sql.bench.asking import ask_all
from oqron_sql.bench.model import QUESTIONS, Contestant, Result, Work
from oqron_sql.bench.troupe import Troupe
from oqron_sql.cli.bench_report import facts, print_result, progress, result_as_json
from oqron_sql.cli.interruption import Interruption
from oqron_sql.cli.messages import FAILED, refuse_private_memory
from oqron_sql.cli.printing import new_console, print_json, say
from oqron_sql.dialects.sqlite import COMPANIONS
from oqron_sql.engines import read_url

PEERS = {"postgresql": ("pgqueuer", "procrastinate"), "sqlite": ("huey",)}
"""The other queues that may be installed, by the kind of database that they work on."""


def bench(
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="A database; may be repeated. Default: a SQLite file, deleted afterwards."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=100,
            max=10**6,
            help="How many jobs; some parts are shares of that. Default: 5000, 2000 with --peers.",
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="How often all is measured. Default: 3, once with --peers."
        ),
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="Measure pgqueuer, procrastinate and huey as well.")
    ] = False,
    plot_file: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw a picture, .svg or .png, into a file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Measure how fast jobs are added and run, on one database or on several.

    The tables are made for it, under a prefix of their own, and dropped at the end, also after
    Ctrl-C. Exit status: 0, 1 if a peer failed, 2 for a database that does not answer.
    """
    if plot_file is not None:
        plot.check_path(plot_file)
    with _databases(url or []) as addresses:
        contestants = _contestants(addresses, peers=peers)
        result = Result(contestants, Work.of(jobs, rounds, peers=peers))
        lasts = result.work.lasts(contestants)
        span = f"{lasts / 60:.0f} minutes" if lasts >= 90 else f"{lasts / 10:.0f}0 seconds"
        say(new_console(stderr=True), f"On two cores this takes about {span}.")
        status = asyncio.run(_bench(result))
    if not any(result.figures.values()):
        raise typer.Exit(status)
    if as_json:
        print_json(result_as_json(result))
    else:
        print_result(new_console(), result)
    if plot_file is not None:
        plot.save(plot_file, result, facts(result))
        say(new_console(stderr=True), f"The picture is in {plot_file}.")
    raise typer.Exit(status)


async def _bench(result: Result) -> int:
    name = f"oqron_bench_{secrets.token_hex(4)}"
    errors = new_console(stderr=True)
    for contestant in result.contestants:
        if not contestant.peer:
            result.servers[contestant.label] = await _ask_server(contestant, name)
    troupe = Troupe(list(result.contestants), name)
    interruption = Interruption(troupe.kill)
    steps = len(result.contestants) * (1 + len(QUESTIONS) * result.work.rounds)
    try:
        with progress(errors, steps) as tell:
            async with troupe:
                await ask_all(result.contestants, troupe, result, tell)
    except asyncio.CancelledError:
        if not interruption.came():
            raise
        say(errors, "Interrupted; the tables are dropped.", "yellow")
        result.figures.clear()
        return interruption.status
    return FAILED if result.failures else 0


async def _ask_server(contestant: Contestant, name: str) -> str:
    """Ask what it is, so that a database that does not answer is told of before all else."""
    store = AsyncSQLStore(contestant.url, prefix=f"{name}_", migrate="off")
    try:
        await store.connect()
        return await store.run(lambda tx: tx.dialect.examine(tx.conn, []).server)
    finally:
        await store.disconnect()


def _contestants(addresses: Sequence[URL], *, peers: bool) -> list[Contestant]:
    found: list[Contestant] = []
    asked: set[tuple[str, str, object]] = set()
    for address in addresses:
        url = address.render_as_string(hide_password=False)
        kind = address.get_backend_name()
        driver = address.get_driver_name()
        found.append(Contestant(_free(f"{kind}, {driver}", found), "ours", url))
        for peer in PEERS.get(kind, ()) if peers else ():
            which = (peer, address.host or "", address.database)
            if which not in asked and importlib.util.find_spec(peer):
                asked.add(which)
                found.append(Contestant(_free(f"{peer}, {kind}", found), peer, url, peer=True))
    return sorted(found, key=lambda each: each.peer)


def _free(label: str, found: Sequence[Contestant]) -> str:
    labels = {each.label for each in found}
    numbered = (f"{label} ({n})" for n in range(2, len(labels) + 3))
    return label if label not in labels else next(each for each in numbered if each not in labels)


@contextlib.contextmanager
def _databases(urls: Sequence[str]) -> Iterator[list[URL]]:
    """Give the databases; files that were made for it are deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="oqron-bench-") as folder:
        addresses = [read_url(url) for url in urls or [f"sqlite:///{folder}/bench.db"]]
        for address in addresses:
            AsyncSQLStore(address)  # refuses what it cannot use, and says why
            refuse_private_memory(address)
        files = [dialects.get(each.get_backend_name()).files(each) for each in addresses]
        new = [file for file, *_ in filter(None, files) if not os.path.exists(file)]
        try:
            yield addresses
        finally:
            for file in new:
                for companion in COMPANIONS:
                    Path(file + companion).unlink(missing_ok=True)
