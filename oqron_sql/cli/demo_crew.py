"""The worker processes of the demo: started, listened to, and gone when the demo is."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from asyncio.subprocess import PIPE, Process
from collections import deque
from types import TracebackType
from typing import Self

from oqron_sql.cli.demo_worker import URL_VARIABLE
from oqron_sql.cli.processes import how_it_ended, python
from oqron_sql.contract import new_worker_id
from oqron_sql.errors import OqronError

GRACE = 5.0
Lease = tuple[str, int]


class WorkersFailed(OqronError):
    """Workers died again and again, by themselves."""

    def __init__(self, deaths: int, said: str) -> None:
        super().__init__(f"gave up after {deaths} workers died; the last one said: {said}")
        self.deaths, self.said = deaths, said


@dataclasses.dataclass(slots=True, eq=False)
class Member:
    """A worker process and the last it told of itself; its word is shown, never relied on."""

    number: int
    worker_id: str
    process: Process
    state: str = "starting"
    done: int = 0
    file: str = ""
    dead: bool = False
    killed: bool = False
    leases: set[Lease] = dataclasses.field(default_factory=set)
    returned: int = 0
    died_at: float = 0.0
    errors: deque[str] = dataclasses.field(default_factory=lambda: deque(maxlen=20))
    listening: asyncio.Future[tuple[None, None]] | None = None

    @property
    def how_it_died(self) -> str:
        """Return the signal or the exit status, in words."""
        return how_it_ended(self.process.returncode or 0)


class Crew:
    """All workers of a run; leaving the context ends every one of them, whatever happened."""

    def __init__(self, url: str, queue: str) -> None:
        self.members: list[Member] = []
        self._url, self._queue = url, queue
        self._stopping = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> Member:
        """Start one more worker."""
        worker_id = new_worker_id()
        process = await asyncio.create_subprocess_exec(
            *python(),
            "-m",
            "oqron_sql.cli.demo_worker",
            self._queue,
            worker_id,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**os.environ, URL_VARIABLE: self._url},
            process_group=0,  # so that Ctrl-C in the terminal reaches us alone, and we stop them
        )
        member = Member(len(self.members) + 1, worker_id, process)
        self.members.append(member)
        member.listening = asyncio.gather(_listen(member), _overhear(member))
        return member

    def alive(self) -> list[Member]:
        """Return the workers that still run, as far as we were told."""
        return [member for member in self.members if member.process.returncode is None]

    def newly_dead(self) -> list[Member]:
        """Return, once each, the workers that ended without being told to."""
        if self._stopping:
            return []
        found = [m for m in self.members if m.process.returncode is not None and not m.dead]
        for member in found:
            member.dead, member.state, member.file = True, "dead", ""
        return found

    async def stop(self) -> None:
        """Tell all workers to stop by ending their input; kill those that do not, and reap all."""
        self._stopping = True
        for member in self.alive():
            if member.process.stdin is not None:
                member.process.stdin.close()
        try:
            async with asyncio.timeout(GRACE):
                await self._ended()
        except TimeoutError:
            pass
        finally:
            self.kill()
            await self._ended()

    def kill(self) -> None:
        """Kill every worker at once."""
        for member in self.alive():
            member.process.kill()

    async def _ended(self) -> None:
        for member in self.members:
            await member.process.wait()
            if member.listening is not None:
                await member.listening


async def _listen(member: Member) -> None:
    """Take over what the worker says of itself."""
    assert member.process.stdout is not None  # noqa: S101 - we asked for a pipe
    async for line in member.process.stdout:
        if not member.dead:
            told = json.loads(line)
            member.state, member.done, member.file = told["state"], told["done"], told["file"]


async def _overhear(member: Member) -> None:
    """Keep the end of what the worker says when it fails."""
    assert member.process.stderr is not None  # noqa: S101 - we asked for a pipe
    async for line in member.process.stderr:
        member.errors.append(line.decode(errors="replace").rstrip())
