"""The faults: each breaks something, again and again, while jobs are at work."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from oqron_sql.schema.tables import tables
from tests import servers
from tests.faults.checks import Rules
from tests.faults.recording import FAILPOINTS, WORKING
from tests.faults.run import Fault, Plan, Run
from tests.proxy import Cut, Proxy, proxied

SERVERS = ("postgresql", "mariadb")
LEASE = 1.0
DISK = 8 * 2**20
LIBRARIES = "usr/lib/*/faketime/libfaketime.so.1", "usr/local/lib/faketime/libfaketime.so.1"


async def nothing(run: Run) -> None:
    """Nothing is broken."""


# -- processes -------------------------------------------------------------------------------------


async def kill(run: Run) -> None:
    """Workers, and now and then those who enqueue, are killed at any moment."""
    while await run.rest(0.05, 0.4):
        members = run.alive()
        if members:
            run.injected += run.rng.choice(members).send(signal.SIGKILL)


async def failpoints(run: Run) -> None:
    """Every process is killed at one of the named points of its operations, one after the other."""
    points = run.rng.sample(WORKING, len(WORKING))

    def doom(role: str) -> list[Any]:
        run.injected += 1
        chosen = points if role == "work" else FAILPOINTS[:3]
        return [chosen[run.injected % len(chosen)], run.rng.randint(1, 4)]

    run.doom = doom


async def pause(run: Run) -> None:
    """Workers are stopped for longer than their leases last, and go on as if nothing had been."""
    while await run.rest(0.05, 0.2):
        members = run.alive("work", "lock", "consume")
        if not members:
            continue
        member = run.rng.choice(members)
        run.injected += member.send(signal.SIGSTOP)
        await run.rest(1.2 * LEASE, 2 * LEASE)
        member.send(signal.SIGCONT)


async def start_at_once(run: Run) -> None:
    """Processes start at once on an empty database, and some are killed while they migrate."""

    def doom(role: str) -> list[Any] | None:
        if run.injected >= 6:
            return None
        run.injected += 1
        return ["migrate.mid", run.rng.randint(2, 40)]

    run.doom = doom
    await run.rest(run.seconds, run.seconds)


async def cancel(run: Run) -> None:
    """Calls are cancelled at any moment, and made again."""


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
    """The server lets nobody write for a while, as one that was the primary does."""
    while await run.rest(0.3, 1):
        with run.stage.admin() as admin:
            allow_writing(admin, run.database, allowed=False)
            run.injected += 1
            try:
                await run.rest(0.3, 1)
            finally:
                allow_writing(admin, run.database, allowed=True)


def allow_writing(admin: sa.Connection, database: str, *, allowed: bool) -> None:
    off = "OFF" if allowed else "ON"
    if admin.dialect.name == "postgresql":
        admin.exec_driver_sql(
            f"ALTER DATABASE {database} SET default_transaction_read_only = {off}"
        )
        if not allowed:  # those who are there may still write, until they come anew
            end_all(admin, database)
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
        assert run.stage.server
        async with proxied(run.stage.server.port) as proxy:
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


# -- the disk --------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def on_a_small_disk(run: Run) -> AsyncIterator[None]:
    """Have the database on a disk of a few megabytes, which only root can make."""
    if os.geteuid() != 0:
        raise servers.Missing("only root can make a small disk")
    disk = run.folder / "disk"
    disk.mkdir()
    mounted = await asyncio.create_subprocess_exec(
        *("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk))
    )
    if await mounted.wait():
        raise servers.Missing("a small disk cannot be mounted here")
    run.stage = dataclasses.replace(run.stage, folder=disk)
    try:
        yield
    finally:
        await (await asyncio.create_subprocess_exec("umount", "-l", str(disk))).wait()


async def fill_disk(run: Run) -> None:
    """The disk is full for a while."""
    ballast = run.stage.folder / "ballast"
    while await run.rest(0.2, 0.5):
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(65536)):
                pass
        run.injected += 1
        await run.rest(0.3, 1)
        ballast.unlink()


# -- clocks ----------------------------------------------------------------------------------------


def wrong_clocks() -> dict[str, str]:
    """Return the environment in which a process has a clock of its own."""
    for pattern in LIBRARIES:
        for found in Path(os.environ.get("OQRON_FAKETIME", "/")).glob(pattern):
            return {
                "LD_PRELOAD": str(found),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME": "+1h",
            }
    raise servers.Missing("libfaketime is not installed")


async def clocks(run: Run) -> None:
    """The clocks of all clients are an hour ahead, while some of them are killed."""
    await kill(run)


# -- limits ----------------------------------------------------------------------------------------

LONG_JOBS = Plan(told={"work": {"seconds": 0.4}, "enqueue": {"pace": 0.1}})
ORDERED = Plan(
    crew={"work": 1, "enqueue": 1},
    told={
        "work": {"concurrency": 1, "prefetch": 0, "seconds": 0.02},
        "enqueue": {"plain": True, "pace": 0.04},
    },
    rules=Rules(ordered=True),
)
GROUPED = Plan(
    crew={"work": 3, "enqueue": 1},
    told={"work": {"group_cap": 1}, "enqueue": {"groups": 3}},
    rules=Rules(group_cap=1),
)
CAPPED = Plan(
    crew={"work": 3, "enqueue": 1}, told={"work": {"max_active": 2}}, rules=Rules(max_active=2)
)
RATED = Plan(
    crew={"work": 3, "enqueue": 1},
    told={"work": {"rate": [10, 0.5]}},
    rules=Rules(rate=(10, timedelta(seconds=0.5))),
)
KEYED = Plan(crew={"work": 2, "enqueue": 2}, told={"enqueue": {"keys": 3}}, rules=Rules(keyed=True))
APART = Plan(crew={"work": 3, "enqueue": 3}, homes=(("a_", "x"), ("a_", "y"), ("b_", "x")))


LOCKS = Plan(crew={"lock": 4})


async def locks(run: Run) -> None:
    """Holders of locks are stopped for longer than their locks last, or killed."""
    while await run.rest(0.05, 0.3):
        member = run.rng.choice(run.alive() or [None])
        if member is None:
            continue
        run.injected += 1
        if run.rng.random() < 0.3:
            member.send(signal.SIGKILL)
        else:
            member.send(signal.SIGSTOP)
            await run.rest(0.3, 0.5)
            member.send(signal.SIGCONT)


async def order(run: Run) -> None:
    """Nothing is broken; one worker has to keep the order."""


async def groups(run: Run) -> None:
    """Processes are killed; no group may have two active jobs."""
    await kill(run)


async def cap(run: Run) -> None:
    """Processes are killed; the queue may have no more than two active jobs."""
    await kill(run)


async def rate(run: Run) -> None:
    """Processes are killed; ten jobs may be leased in half a second."""
    await kill(run)


async def keys(run: Run) -> None:
    """Processes are killed; of three keys, each may have one live job."""
    await kill(run)


async def apart(run: Run) -> None:
    """Processes are killed; two queues and another prefix must not mix."""
    await kill(run)


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("order", order, ORDERED),
        Fault("kill", kill),
        Fault("failpoints", failpoints),
        Fault("pause", pause, LONG_JOBS),
        Fault("start-at-once", start_at_once, Plan({"work": 5, "enqueue": 1}, prepared=False)),
        Fault("cancel", cancel, Plan(told={"enqueue": {"cancel": 0.5}})),
        Fault("kill-server", kill_server, on=SERVERS),
        Fault("end-sessions", end_sessions, on=SERVERS),
        Fault("read-only", read_only, on=SERVERS),
        Fault("deadlock", deadlock, on=SERVERS),
        Fault("cut-requests", cut_requests, on=SERVERS, around=by_proxy(cutting(Cut.REQUEST))),
        Fault("cut-replies", cut_replies, on=SERVERS, around=by_proxy(cutting(Cut.REPLY))),
        Fault("reset", reset, on=SERVERS, around=by_proxy(lambda *_: None)),
        Fault("delay", delay, on=SERVERS, around=by_proxy(delaying)),
        Fault("black-hole", black_hole, on=SERVERS, around=by_proxy(lambda *_: None)),
        Fault("pooler", kill_pooler, on=("postgresql",), around=pooled),
        Fault("clocks", clocks, on=SERVERS, env=wrong_clocks),
        Fault("fill-disk", fill_disk, on=(None,), around=on_a_small_disk),
        Fault("groups", groups, GROUPED),
        Fault("cap", cap, CAPPED),
        Fault("rate", rate, RATED),
        Fault("keys", keys, KEYED),
        Fault("apart", apart, APART),
        Fault("locks", locks, LOCKS),
    )
}
