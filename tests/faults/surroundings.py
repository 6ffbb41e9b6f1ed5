"""What is around the processes, and how it is broken: the server, the way to it, clocks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from oqron_sql.schema.tables import tables
from tests import servers
from tests.faults.clocked import Clocked, set_clock, wrong_clock
from tests.faults.history import Journal, now
from tests.faults.run import Run
from tests.proxy import Cut, Proxy, proxied

FARTHEST = 30.0
"""How many seconds the clock of a server is ahead or behind, in a run of two minutes or more."""


# -- the server ------------------------------------------------------------------------------------


async def kill_server(run: Run) -> None:
    """The server is killed and started again."""
    while await run.rest(0.5, 1.5):
        assert run.stage.server
        run.stage.server.kill9()
        run.injected += 1
        await asyncio.sleep(run.rng.uniform(0, 0.5))
        await asyncio.to_thread(run.stage.server.start)


async def end_sessions(run: Run) -> None:
    """Every session on the database is ended by its administrator."""
    while await run.rest(0.1, 0.5):
        with run.stage.admin() as admin:
            run.injected += end_all(admin, run.database)


def end_all(admin: sa.Connection, database: str) -> int:
    if admin.dialect.name == "postgresql":
        ending = sa.text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :database"
        )
        return len(admin.execute(ending, {"database": database}).all())
    listing = sa.text("SELECT id FROM information_schema.processlist WHERE db = :database")
    ids = admin.scalars(listing, {"database": database}).all()
    for each in ids:
        with contextlib.suppress(sa.exc.DBAPIError):  # it is gone
            admin.exec_driver_sql(f"KILL {each:d}")
    return len(ids)


async def read_only(run: Run) -> None:
    """The server lets nobody write for a while, those who are there already included."""
    while await run.rest(0.3, 1):
        with run.stage.admin() as admin:
            allow_writing(admin, allowed=False)
            run.injected += 1
            try:
                await run.rest(0.3, 1)
            finally:
                allow_writing(admin, allowed=True)


def allow_writing(admin: sa.Connection, *, allowed: bool) -> None:
    off = "OFF" if allowed else "ON"
    if admin.dialect.name == "postgresql":
        admin.exec_driver_sql(f"ALTER SYSTEM SET default_transaction_read_only = {off}")
        admin.exec_driver_sql("SELECT pg_reload_conf()")
    else:
        admin.exec_driver_sql(f"SET GLOBAL read_only = {off}")


async def deadlock(run: Run) -> None:
    """Others lock the same rows in the opposite order."""
    await run.rest(0, 0)
    both = (asyncio.to_thread(lock_rows, run, step) for step in (1, -1))
    run.injected += sum(await asyncio.gather(*both))


def lock_rows(run: Run, step: int) -> int:
    """Lock a few rows after the other until it is time to end; return how often that failed."""
    jobs, failures = tables().jobs, 0
    engine = run.stage.engine(run.database)
    touch = sa.update(jobs).values(progress=jobs.c.progress)
    newest = sa.select(jobs.c.seq).order_by(jobs.c.seq.desc()).limit(6)
    while not run.is_over:
        try:
            with engine.begin() as rival:
                for seq in list(rival.scalars(newest))[::step]:
                    rival.execute(touch.where(jobs.c.seq == seq))
                    time.sleep(0.01)
        except sa.exc.DBAPIError:
            failures += 1
        time.sleep(0.01)
    engine.dispose()
    return failures


# -- the way to it ---------------------------------------------------------------------------------


def by_proxy(meddle: Callable[[Run, Proxy], None]) -> Callable[[Run], Any]:
    """Return what lets a run reach its server by way of a proxy that meddles."""

    @contextlib.asynccontextmanager
    async def around(run: Run) -> AsyncIterator[Proxy]:
        server = run.stage.server
        assert server
        async with proxied(server.entrance) as proxy:
            run.port = proxy.port
            run.proxy = proxy
            meddle(run, proxy)
            yield proxy
            run.injected += proxy.lost

    return around


def cutting(what: Cut) -> Callable[[Run, Proxy], None]:
    def meddle(run: Run, proxy: Proxy) -> None:
        def cut(data: bytes) -> Cut | None:
            likely = 0.2 if b"COMMIT" in data else 0.02
            return what if run.rng.random() < likely else None

        proxy.cut = cut

    return meddle


def delaying(run: Run, proxy: Proxy) -> None:
    proxy.delay = lambda: run.rng.uniform(0, 0.1)
    proxy.piece = 7
    run.injected += 1


async def cut_requests(run: Run) -> None:
    """The connection breaks before a statement, or its COMMIT, has come through."""


async def cut_replies(run: Run) -> None:
    """A statement, or its COMMIT, is carried out, and its reply is lost."""


async def reset(run: Run) -> None:
    """Every connection is reset, whatever is on its way."""
    while await run.rest(0.05, 0.4):
        run.proxy.break_all()
        run.injected += 1


async def delay(run: Run) -> None:
    """Everything takes up to a tenth of a second, and comes in pieces of seven bytes."""


async def black_hole(run: Run) -> None:
    """Nothing comes through any more and nobody is told, until the connections are reset."""
    while await run.rest(0.2, 0.6):
        run.proxy.swallow()
        run.injected += 1
        await run.rest(0.5, 2)
        run.proxy.break_all()


@contextlib.asynccontextmanager
async def pooled(run: Run) -> AsyncIterator[None]:
    assert run.stage.server
    with servers.pgbouncer(run.stage.server, "transaction") as pooler:
        run.port = pooler.port
        run.pooler = pooler
        run.more["pooler"] = "transaction"
        yield


async def kill_pooler(run: Run) -> None:
    """pgbouncer, which lends connections for a transaction, is killed and started again."""
    while await run.rest(0.3, 1):
        run.pooler.kill9()
        run.injected += 1
        await asyncio.to_thread(run.pooler.start)


# -- clocks ----------------------------------------------------------------------------------------


def wrong_clocks(folder: Path) -> dict[str, str]:
    """Return the environment in which processes have the clock of a file in this folder."""
    set_clock(folder, 3600)
    return {**wrong_clock(folder), "FAKETIME_CACHE_DURATION": "1"}  # second, and it is read again


async def clocks(run: Run) -> None:
    """The clocks of all clients jump, up to an hour either way, while some of them are killed."""
    while await run.rest(0.05, 0.4):
        run.injected += 1
        if run.rng.random() < 0.5:
            set_clock(run.stage.folder, run.rng.randint(-3600, 3600))
        elif members := run.alive():
            run.rng.choice(members).send(signal.SIGKILL)


async def server_clock(run: Run) -> None:
    """The clock of the database jumps forth and back, while processes are killed."""
    server, journal = run.stage.server, Journal(run.folder, "run")
    assert isinstance(server, Clocked)
    farthest = min(FARTHEST, max(2.0, run.seconds / 4))

    def step(ahead: float, to: float) -> float:
        asked = now()
        server.set_clock(to)
        journal.write("stepped", by=to - ahead, asked=asked)
        return to

    ahead = 0.0
    while await run.rest(0.1, 0.6):
        run.injected += 1
        if run.rng.random() < 0.5:
            ahead = step(ahead, run.rng.uniform(-farthest, farthest))
        elif members := run.alive():
            run.rng.choice(members).send(signal.SIGKILL)
    step(ahead, 0.0)
