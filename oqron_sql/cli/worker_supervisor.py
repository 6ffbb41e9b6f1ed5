"""Several worker processes: started, started again when one dies, and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections import deque

from oqron_sql.cli.processes import how_it_ended, python
from oqron_sql.cli.worker_process import SUPERVISED
from oqron_sql.runtime.signals import on_signal

logger = logging.getLogger("oqron_sql")

PAUSE = 1.0
"""How many seconds a worker that died is left alone before another takes its place."""
DEATHS, SPAN = 5, 60.0
"""So many deaths of one place within so many seconds are no accident."""


@dataclasses.dataclass(slots=True, eq=False)
class Place:
    """The place of one worker process; `ready` once the present one has started to work."""

    process: Process | None = None
    ready: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    deaths: deque[float] = dataclasses.field(default_factory=lambda: deque(maxlen=DEATHS))


class Supervisor:
    """Keeps `processes` workers at work until told to stop: each has the command line of ours.

    A worker that ends before it works is a mistake, and ends all; one that dies later is replaced,
    unless that happens too often.
    """

    def __init__(self, processes: int) -> None:
        self._places = [Place() for _ in range(processes)]
        self._stopping = asyncio.Event()
        self._signals = 0
        self._status = 0

    async def run(self) -> int:
        """Supervise until the last worker has ended; return the exit status."""
        with on_signal(self._signalled):
            async with asyncio.TaskGroup() as group:
                for place in self._places:
                    # One after the other, so that a mistake is told of once.
                    keeping = group.create_task(self._keep(place))
                    ready = group.create_task(place.ready.wait())
                    await asyncio.wait({keeping, ready}, return_when=asyncio.FIRST_COMPLETED)
                    ready.cancel()
                    if self._stopping.is_set():
                        break
                else:
                    logger.info("%d worker processes work", len(self._places))
        return self._status

    async def _keep(self, place: Place) -> None:
        while not self._stopping.is_set():
            place.ready.clear()
            status = await self._run_one(place)
            if self._stopping.is_set():
                self._status = self._status or int(status != 0)
                return
            how = how_it_ended(status)
            if not place.ready.is_set():
                self._give_up(f"a worker ended before it worked: {how}", status)
                return
            place.deaths.append(time.monotonic())
            if len(place.deaths) == DEATHS and place.deaths[-1] - place.deaths[0] < SPAN:
                self._give_up(f"workers die again and again, the last one: {how}", 1)
                return
            logger.error("a worker process died: %s; another takes its place", how)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), PAUSE)

    async def _run_one(self, place: Place) -> int:
        ours, theirs = socket.socketpair()
        with theirs:
            place.process = process = await asyncio.create_subprocess_exec(
                *python(),
                "-m",
                "oqron_sql.cli",
                *sys.argv[1:],
                stdin=theirs.fileno(),
                env={**os.environ, SUPERVISED: "1"},
                process_group=0,  # so that Ctrl-C in the terminal reaches us alone
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            if self._stopping.is_set():
                self._tell(signal.SIGTERM)
            if await reader.read(1):
                place.ready.set()
            return await process.wait()
        finally:
            writer.close()

    def _give_up(self, why: str, status: int) -> None:
        logger.error("%s; all are stopped", why)
        self._status = max(status, 1)
        self._stopping.set()
        self._tell(signal.SIGTERM)

    def _signalled(self) -> None:
        self._signals += 1
        self._stopping.set()
        if self._signals < 3:
            told = "told to stop" if self._signals == 1 else "told to hurry"
            logger.info("%s; the worker processes are told", told)
            self._tell(signal.SIGTERM)
        else:
            logger.warning("told to stop once more; the worker processes are killed")
            self._tell(signal.SIGKILL)

    def _tell(self, number: signal.Signals) -> None:
        for place in self._places:
            if place.process is not None and place.process.returncode is None:
                place.process.send_signal(number)
