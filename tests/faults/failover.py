"""Another server becomes the primary: the one before is dead, or it lives and lets nobody write."""

from __future__ import annotations

import asyncio

from tests.faults.history import Journal
from tests.faults.replicas import Pair
from tests.faults.run import Run


async def failover(run: Run) -> None:
    """The primary is killed, and its synchronous standby is promoted."""
    pair = pair_of(run)
    while await run.rest(0.3, 1):
        pair.kill9()
        run.injected += 1
        await promote(run, pair)
        await asyncio.to_thread(pair.attach)


async def switch_over(run: Run) -> None:
    """The primary lets nobody write, its replica is promoted, and no connection is ended."""
    pair = pair_of(run)
    while await run.rest(0.3, 1):
        await asyncio.to_thread(pair.fence)
        pair.reached = pair.replica  # which lets nobody write either, as yet
        run.injected += 1
        await run.rest(0, 0.5)
        await promote(run, pair)
        await run.rest(1, 3)
        await asyncio.to_thread(pair.attach)


async def promote(run: Run, pair: Pair) -> None:
    await asyncio.to_thread(pair.promote)
    Journal(run.folder, "run").write("promoted")


def pair_of(run: Run) -> Pair:
    assert isinstance(run.stage.server, Pair)
    return run.stage.server
