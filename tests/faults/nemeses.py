"""The faults: each breaks something, again and again, while jobs are at work."""

from __future__ import annotations

import itertools
import random
import signal
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from tests.faults.acting import on_redis
from tests.faults.failover import failover, switch_over
from tests.faults.filling import fill_disk, fill_memory, on_a_small_disk
from tests.faults.partitions import partition
from tests.faults.recording import CONSUMING, ENQUEUEING, WORKING
from tests.faults.rules import Rules
from tests.faults.run import Fault, Plan, Run
from tests.faults.stages import CLOCKED, GALERA, REPLICATED
from tests.faults.surroundings import (
    black_hole,
    by_proxy,
    clocks,
    cut_replies,
    cut_requests,
    cutting,
    deadlock,
    delay,
    delaying,
    end_sessions,
    kill_pooler,
    kill_server,
    pooled,
    read_only,
    reset,
    server_clock,
    wrong_clocks,
)
from tests.proxy import Cut

SERVERS = ("postgresql", "mariadb")
PAIR: Any = {"around": by_proxy(lambda *_: None), "server": REPLICATED}
STORES, REACHED = (None, *SERVERS), (*SERVERS, "redis")
EVERYWHERE = (*STORES, "redis")
LEASE = 1.0


# -- processes -------------------------------------------------------------------------------------


async def kill(run: Run) -> None:
    """Workers, and now and then those who enqueue, are killed at any moment."""
    while await run.rest(0.05, 0.4):
        members = run.alive()
        if members:
            run.injected += run.rng.choice(members).send(signal.SIGKILL)


async def failpoints(run: Run) -> None:
    """Every process is killed at one of the named points of its operations, one after the other."""
    passed = {"work": WORKING, "consume": CONSUMING}
    numbers: dict[str, Iterator[int]] = defaultdict(itertools.count)

    def doom(role: str) -> list[Any]:
        points = passed.get(role, ENQUEUEING)
        if on_redis(run.url):  # where an operation is one script, and has no middle
            points = [point for point in points if not point.endswith(".mid")]
        mixed = random.Random(run.seed).sample(points, len(points))
        return [mixed[next(numbers[role]) % len(mixed)], run.rng.randint(1, 4)]

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

    doomed = iter(range(6))

    def doom(role: str) -> list[Any] | None:
        if next(doomed, None) is None:
            return None
        return ["migrate.mid", run.rng.randint(2, 40)]

    run.doom = doom
    await run.rest(run.seconds, run.seconds)


async def cancel(run: Run) -> None:
    """Calls are cancelled at any moment, and made again."""


# -- limits ----------------------------------------------------------------------------------------

LARGE = Plan(told={"enqueue": {"size": 4000, "pace": 0.05}})  # so that each needs room
STEPPED = Plan(rules=Rules(late=10.0))
SLOW = Plan(told={"work": {"lease": 3.0}})  # a new connection takes a second
LONG_JOBS = Plan(told={"work": {"seconds": 0.4}, "enqueue": {"pace": 0.2}})
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


IDS = Plan(crew={"consume": 3, "publish": 1})


async def ids(run: Run) -> None:
    """Those who publish and claim ids are killed, told to end, or stopped past their leases."""
    await trouble(run, 1.2 * LEASE)


SCHEDULED = Plan(crew={"work": 2, "fire": 2, "put": 1})


async def schedules(run: Run) -> None:
    """Those who fire are killed, told to end, or stopped for longer than a slot, and come back."""
    await trouble(run, 1)


async def trouble(run: Run, stop: float) -> None:
    while await run.rest(0.05, 0.4):
        member = run.rng.choice(run.alive() or [None])
        if member is None:
            continue
        chosen = run.rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP))
        run.injected += member.send(chosen)
        if chosen is signal.SIGSTOP:
            await run.rest(stop, 2 * stop)
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
        Fault("kill", kill, on=EVERYWHERE),
        Fault("failpoints", failpoints, on=EVERYWHERE),
        Fault("pause", pause, LONG_JOBS, on=EVERYWHERE),
        Fault("start-at-once", start_at_once, Plan({"work": 5, "enqueue": 1}, prepared=False)),
        Fault("cancel", cancel, Plan(told={"enqueue": {"cancel": 0.5}}), on=EVERYWHERE),
        Fault("kill-server", kill_server, on=REACHED),
        Fault("end-sessions", end_sessions, on=SERVERS),
        Fault("read-only", read_only, on=SERVERS),
        Fault("failover", failover, on=("postgresql",), **PAIR),
        Fault("switch-over", switch_over, on=SERVERS, **PAIR),
        Fault("partition", partition, on=(GALERA,)),
        Fault("deadlock", deadlock, on=SERVERS),
        Fault("cut-requests", cut_requests, on=REACHED, around=by_proxy(cutting(Cut.REQUEST))),
        Fault("cut-replies", cut_replies, on=REACHED, around=by_proxy(cutting(Cut.REPLY))),
        Fault("reset", reset, on=REACHED, around=by_proxy(lambda *_: None)),
        Fault("delay", delay, SLOW, on=REACHED, around=by_proxy(delaying)),
        Fault("black-hole", black_hole, on=REACHED, around=by_proxy(lambda *_: None)),
        Fault("pooler", kill_pooler, on=("postgresql",), around=pooled),
        Fault("clocks", clocks, on=REACHED, env=wrong_clocks),
        Fault("fill-disk", fill_disk, LARGE, on=EVERYWHERE, around=on_a_small_disk),
        Fault("fill-memory", fill_memory, on=("redis",)),
        Fault("server-clock", server_clock, STEPPED, on=SERVERS, server=CLOCKED),
        Fault("groups", groups, GROUPED),
        Fault("cap", cap, CAPPED),
        Fault("rate", rate, RATED),
        Fault("keys", keys, KEYED),
        Fault("apart", apart, APART),
        Fault("schedules", schedules, SCHEDULED),
        Fault("ids", ids, IDS),
        Fault("locks", locks, LOCKS, on=EVERYWHERE),
    )
}
