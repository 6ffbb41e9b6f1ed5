"""One run: processes at work on a database, somebody who breaks things, and what came of it."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

from tests.faults import ends
from tests.faults.acting import QUEUE
from tests.faults.checks import violations
from tests.faults.history import History, Journal, read
from tests.faults.processes import Member, Nursery
from tests.faults.resuming import slowest
from tests.faults.rules import Rules
from tests.faults.stages import ALONE, PREFIX, Stage
from tests.proxy import Proxy
from tests.servers import Server

PATIENCE = 60.0
"""How many seconds may pass, when nothing is broken any more, without a job that ends."""
STARTING = 15.0
"""How many seconds processes have to start."""
ALWAYS = Rules()
PRODUCERS = ("enqueue", "publish", "put")


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Who is at work in a run, what they are told besides, and what is promised.

    `crew` is how many play each role, `told` what each is told; the first of a role has the first
    of `homes`, a prefix and a queue, the next one the next.
    """

    crew: Mapping[str, int] = dataclasses.field(default_factory=lambda: {"work": 2, "enqueue": 1})
    told: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    rules: Rules = ALWAYS
    homes: tuple[ends.Home, ...] = ((PREFIX, QUEUE),)
    prepared: bool = True


PLAIN = Plan()


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What is broken, where that can be, what that needs, and who is at work meanwhile."""

    name: str
    breaking: Callable[[Run], Awaitable[None]]
    plan: Plan = PLAIN
    on: tuple[str | None, ...] = (
        None,
        "postgresql",
        "mariadb",
    )  # kinds of server, a file, or a backend
    server: str = ALONE
    around: Callable[[Run], AbstractAsyncContextManager[Any]] = lambda run: nullcontext()
    env: Callable[[Path], Mapping[str, str]] | None = None

    @property
    def about(self) -> str:
        return (self.breaking.__doc__ or "").splitlines()[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    backend: str
    fault: Fault
    seconds: float
    history: History
    injected: int
    violations: dict[str, list[str]]

    @property
    def jobs(self) -> int:
        kinds = ("final", "published", "acquired")
        return next((n for kind in kinds if (n := self.history.count(kind))), 0)

    @property
    def again(self) -> int:
        """How many jobs were given out a second time because the first was lost; or ids, at all."""
        lost = sum(1 for event in self.history.of("final") if event["lost"])
        if lost or not self.history.count("published"):
            return lost
        return len({event["job"] for event in self.history.of("claimed") if event["lease"] > 1})

    @property
    def waited(self) -> float | None:
        """How many seconds the slowest process took to go on with a new primary."""
        return slowest(self.history)


class Run:
    """What a breaker of things has at hand."""

    def __init__(
        self, stage: Stage, nursery: Nursery, folder: Path, seed: int, plan: Plan, seconds: float
    ) -> None:
        self.stage, self.nursery, self.folder, self.plan = stage, nursery, folder, plan
        self.seconds, self.seed = seconds, seed
        self.rng = random.Random(seed)
        self.database = stage.fresh()
        self.port: int | None = None
        """Where the server is reached, if not directly."""
        self.proxy: Proxy
        self.pooler: Server
        self.more: dict[str, Any] = {}
        """What every process is told."""
        self.injected = 0
        self.members: list[Member] = []
        self.doom: Callable[[str], list[Any] | None] = lambda role: None
        """Where a new process of a role is to be killed."""
        self._keeping: dict[str, list[asyncio.Task[None]]] = {role: [] for role in plan.crew}
        self._ending: set[str] = set()
        self._started = 0
        self._until = float("inf")
        self._at_work = False

    @property
    def url(self) -> str:
        """The database, reached directly."""
        return self.stage.url(self.database)

    def alive(self, *roles: str) -> list[Member]:
        chosen = [each for each in self.members if each.alive]
        return [each for each in chosen if not roles or each.spec["role"] in roles]

    @property
    def is_over(self) -> bool:
        """Whether it is time to stop breaking things."""
        return time.monotonic() >= self._until

    async def rest(self, least: float, most: float) -> bool:
        """Pause for a random while; whether there is time for more."""
        if not self._at_work:
            await self._wait_for_work()
        pause = min(self.rng.uniform(least, most), self._until - time.monotonic())
        if pause > 0:
            await asyncio.sleep(pause)
        return not self.is_over

    async def work(self, breaking: Callable[[Run], Awaitable[None]]) -> None:
        """Let everybody work while things are broken, then let them end what there is."""
        if self.plan.prepared:
            for prefix, _ in self.plan.homes:
                await ends.prepare(self.url, prefix)
        try:
            for role, n in self.plan.crew.items():
                for place in range(n):
                    self._keeping[role].append(asyncio.ensure_future(self._keep(role, place)))
            await breaking(self)
            await self.rest(self.seconds, self.seconds)
            self.doom = lambda role: None
            await self._stop(*PRODUCERS)
            for home in self.plan.homes:
                await ends.drained(self.url, home, PATIENCE)
            await self._stop(*self.plan.crew)
        finally:
            for keeping in (each for tasks in self._keeping.values() for each in tasks):
                keeping.cancel()
            for member in self.members:
                member.send(signal.SIGKILL)
        for home in self.plan.homes:
            await ends.note(self.url, home, Journal(self.folder, "final"))

    async def _wait_for_work(self) -> None:
        """Wait until the first job, or lock, is taken: from then on the time of the run counts."""
        waited_until = time.monotonic() + STARTING
        while time.monotonic() < waited_until:
            if any(
                b'["claimed"' in path.read_bytes() or b'["acquired"' in path.read_bytes()
                for path in self.folder.glob("*.jsonl")
            ):
                break
            await asyncio.sleep(0.05)
        self._at_work, self._until = True, time.monotonic() + self.seconds

    async def _keep(self, role: str, place: int) -> None:
        """Have a process at this place, a new one when it is gone, until it is told to end."""
        while role not in self._ending:
            self._started += 1
            prefix, queue = self.plan.homes[place % len(self.plan.homes)]
            spec = {
                "role": role,
                "name": f"{role}-{self._started}",
                "url": self.stage.url(self.database, self.port),
                "folder": str(self.folder),
                "prefix": prefix,
                "queue": queue,
                "seed": self.seed * 1000 + self._started,
                "place": place,
                **self.more,
                **self.plan.told.get(role, {}),
            }
            if doom := self.doom(role):
                spec["doom"] = doom
            member = await self.nursery.start(**spec)
            self.members.append(member)
            if role in self._ending:  # it was told to those who were there
                member.send(signal.SIGTERM)
            code = await asyncio.shield(member.ended)
            Journal(self.folder, "run").write("gone", name=f"{spec['name']}-{member.pid}")
            self.injected += bool(doom) and code == -signal.SIGKILL
            # One that is told to end before it listens ends all the same.
            if code not in (0, -signal.SIGKILL, -signal.SIGTERM):
                Journal(self.folder, "run").write("died", name=spec["name"], code=code)
                await asyncio.sleep(0.2)

    async def _stop(self, *roles: str) -> None:
        """Let all of these roles end, in peace."""
        self._ending |= {*roles}
        for member in self.alive(*roles):
            member.send(signal.SIGTERM)
        ending = [task for role in roles for task in self._keeping.get(role, ())]
        await asyncio.wait_for(asyncio.gather(*ending), PATIENCE)


async def run(
    stage: Stage,
    nursery: Nursery,
    folder: Path,
    fault: Fault,
    *,
    seconds: float,
    seed: int,
    bug: str | None = None,
) -> Outcome:
    """Make one run; its histories are left in the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    this = Run(stage, nursery, folder, seed, fault.plan, seconds)
    this.more["bug"] = bug
    stuck = []
    async with fault.around(this):
        try:
            await this.work(fault.breaking)
        except TimeoutError:
            stuck.append(f"a process did not end within {PATIENCE:.0f} s")
    history = read(folder)
    found = violations(history, fault.plan.rules)
    if stuck:
        found["stuck"] = stuck
    died = [f"{event['name']} ended with {event['code']}" for event in history.of("died")]
    if died:
        found["died"] = died
    took = time.monotonic() - began
    injected = this.injected + history.count("cancelled")
    return Outcome(stage.name, fault, took, history, injected, found)
