"""A process that does the work of one side: `python -m oqron_sql.bench.actor`.

It takes one JSON object in a line after the other from its standard input, does what that says, and
answers each with another. It ends with its input, be it that its parent is no more.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, TextIO

from oqron_sql.bench.side import Side, shared_out
from oqron_sql.runtime.loops import fastest_loop

WARM_UP = 20
LOOK, QUIET = 0.02, 0.1
"""How often one looks whether all jobs have begun, and how long none must, to be so."""
PAUSES = (0.01, 0.04)
"""The bounds of what lies between jobs that are added to an idle worker."""


class Tally:
    """When jobs began, and how long after they were added."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.waits: list[float] = []

    def note(self, sent: float) -> None:
        """Note that a job begins now."""
        now = time.monotonic()
        self.begun.append(now)
        self.waits.append(now - sent)


class Actor:
    """What the process can be told to do; each method takes and returns what JSON has."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._serving = AsyncExitStack()
        self._tally = Tally()

    async def open(self) -> None:
        """Connect."""
        await self._side.open()

    async def install(self) -> None:
        """Make the tables, and connect."""
        await self._side.install()

    async def remove(self) -> None:
        """Delete the tables."""
        await self._side.remove()

    async def clear(self, queue: str) -> None:
        """Delete all jobs."""
        await self._side.clear(queue)

    async def add(self, queue: str, jobs: int, in_flight: int) -> float:
        """Add jobs, so many at a time; return how many seconds that took."""

        async def add() -> None:
            await self._side.add(queue, time.monotonic())

        await shared_out(WARM_UP, in_flight, add)
        started = time.monotonic()
        await shared_out(jobs, in_flight, add)
        return time.monotonic() - started

    async def bulk(self, queue: str, jobs: int, grouped: bool = False) -> float | None:
        """Add jobs, many at once; return how many seconds that took, None if there is no way to."""
        started = time.monotonic()
        able = await self._side.add_bulk(queue, [started] * jobs, grouped=grouped)
        return time.monotonic() - started if able else None

    async def drain(
        self, queue: str, limit: int | None = None, grouped: bool = False
    ) -> tuple[int, float, float]:
        """Run jobs until none is left, or `limit` have begun.

        Return how many that were, when the worker was started, and when the last of them began.
        """
        tally, started = Tally(), time.monotonic()
        async with self._side.working(queue, tally.note, grouped=grouped):
            while not await self._is_over(queue, tally, limit):
                await asyncio.sleep(LOOK)
        begun = tally.begun[:limit]
        return len(begun), started, max(begun, default=0.0)

    async def serve(self, queue: str) -> None:
        """Run jobs until told to stop."""
        self._tally = Tally()
        await self._serving.enter_async_context(
            self._side.working(queue, self._tally.note, grouped=False)
        )

    async def post(self, queue: str, jobs: int) -> None:
        """Add jobs, each to an idle worker, and wait for the last to begin."""
        for _ in range(jobs):
            await self._side.add(queue, time.monotonic())
            await asyncio.sleep(random.uniform(*PAUSES))
        while await self._side.left(queue):
            await asyncio.sleep(LOOK)

    async def stop(self) -> list[float]:
        """Run no more jobs; return how long each of them had waited."""
        await self._serving.aclose()
        return self._tally.waits

    async def _is_over(self, queue: str, tally: Tally, limit: int | None) -> bool:
        if limit is not None:
            return len(tally.begun) >= limit
        latest = tally.begun[-1] if tally.begun else 0.0
        return time.monotonic() - latest > QUIET and not await self._side.left(queue)


async def perform(told: TextIO, answer: Callable[[Any], None]) -> None:
    """Do what is told until nothing is."""
    loop = asyncio.get_running_loop()
    first = json.loads(await loop.run_in_executor(None, told.readline))
    module = importlib.import_module(f"oqron_sql.bench.sides.{first['side']}")
    actor = Actor(module.SIDE(first["url"], first["name"]))
    while line := await loop.run_in_executor(None, told.readline):
        order = json.loads(line)
        try:
            result = await getattr(actor, order.pop("do"))(**order)
        except Exception as error:  # noqa: BLE001 - it is told to whoever gave the order
            reason = next(iter(str(error).splitlines()), "")
            answer({"error": f"{type(error).__name__}: {reason}"})
        else:
            answer({"result": result})


def main() -> None:
    """Listen at the standard input; what anybody prints goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Any) -> None:
        print(json.dumps(value), file=answers, flush=True)

    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(perform(sys.stdin, answer))
    os._exit(0)  # whatever threads a peer has left


if __name__ == "__main__":
    main()
