"""One worker process, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from oqron_sql.cli.worker_loading import Changes, equip, find, make
from oqron_sql.cli.worker_logs import sparing
from oqron_sql.runtime import Handlers, Worker
from oqron_sql.runtime.loops import fastest_loop

logger = logging.getLogger("oqron_sql")

SUPERVISED = "OQRON_SUPERVISED"
"""Set in the environment of a process that has its supervisor at its standard input."""

YOUNG = 10_000
"""How many objects are made before a collection looks at them."""


class Lifeline:
    """The socket between a supervised process and its supervisor: whoever ends, the other knows."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=os.dup(0))
        self._socket.settimeout(0)  # as an event loop wants it
        # What the handlers start is not to hold on to it.
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    @classmethod
    def find(cls) -> Lifeline | None:
        """Return that of this process, None if nobody supervises it."""
        return cls() if os.environ.pop(SUPERVISED, None) else None

    def say_ready(self) -> None:
        """Tell that the start was a success."""
        with contextlib.suppress(OSError):
            self._socket.send(b".")

    async def cut(self) -> None:
        """Wait until there is no supervisor any more."""
        with contextlib.suppress(OSError):
            while await asyncio.get_running_loop().sock_recv(self._socket, 1):
                pass


def run(
    target: str, changes: Changes, begin_logging: Callable[[], None], lifeline: Lifeline | None
) -> None:
    """Run the worker that `target` names, until it is told to stop.

    Raises:
        ConfigurationError: there is none, or it cannot be changed as asked for.
        CodeFailed: the user's code failed before there was a worker.
        StoreUnavailable: the database does not answer at the start.
    """
    found = find(target)
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(_run(found, target, changes, begin_logging, lifeline))


async def _run(
    found: object,
    target: str,
    changes: Changes,
    begin_logging: Callable[[], None],
    lifeline: Lifeline | None,
) -> None:
    async with AsyncExitStack() as stack:
        made, database = await make(found, target, stack), changes.database
        worker = equip(made, target, changes)
        begin_logging()
        of_the_command = isinstance(made, Handlers) or database.url is not None
        with sparing(), database.advising() if of_the_command else contextlib.nullcontext():
            await _call(worker.store.connect)
        stack.push_async_callback(_call, worker.store.disconnect)
        spare_collections()
        if lifeline is None:
            await worker.run()
            return
        watching = asyncio.create_task(_watch(lifeline, worker))
        lifeline.say_ready()
        await worker.run()
        watching.cancel()


def spare_collections() -> None:
    """Let collections of garbage cost a worker little; for a process that does nothing else.

    What is there by now stays, so no collection looks at it again. Of what comes, a worker has
    thousands of jobs at a time, none of which is garbage as long as it is held.
    """
    gc.collect()
    gc.freeze()
    young, *others = gc.get_threshold()
    if 0 < young < YOUNG:  # 0 is off
        gc.set_threshold(YOUNG, *others)


async def _watch(lifeline: Lifeline, worker: Worker) -> None:
    await lifeline.cut()
    logger.warning("the supervisor is gone")
    await worker.close()


async def _call(method: Callable[[], Any]) -> None:
    """Call a method of a store, of whichever kind that is."""
    made = method() if inspect.iscoroutinefunction(method) else await asyncio.to_thread(method)
    if inspect.isawaitable(made):
        await made
