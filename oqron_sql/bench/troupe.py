"""The processes that do the work, and what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from types import TracebackType
from typing import Any, Self

from oqron_sql.bench.model import Contestant, SideFailed

LINE = 2**24
PATIENCE = 5.0


class Member:
    """One process."""

    def __init__(self, contestant: Contestant, process: Process) -> None:
        self._contestant, self._process = contestant, process
        self._errors: deque[str] = deque(maxlen=5)
        self._overhearing = asyncio.ensure_future(self._overhear())

    @classmethod
    async def start(cls, contestant: Contestant, name: str) -> Self:
        """Start a process that is yet to be told what to do."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "oqron_sql.bench.actor",
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=LINE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            process_group=0,  # so that Ctrl-C in the terminal reaches us alone
        )
        member = cls(contestant, process)
        # The URL does not go where `ps` shows it.
        await member._write(
            {"side": contestant.side, "url": contestant.url, "name": f"{name}_{contestant.side}"}
        )
        return member

    async def do(self, what: str, **arguments: Any) -> Any:
        """Let it do something and return what came of it.

        Raises:
            SideFailed: it could not.
        """
        await self._write({"do": what, **arguments})
        assert self._process.stdout is not None  # noqa: S101 - we asked for a pipe
        line = await self._process.stdout.readline()
        if not line:
            await self._overhearing
            raise SideFailed(f"{self._contestant.label} died: {' / '.join(self._errors)}")
        answer = json.loads(line)
        if "error" in answer:
            raise SideFailed(f"{self._contestant.label} failed to {what}: {answer['error']}")
        return answer["result"]

    async def end(self) -> None:
        """Let it end by itself, or kill it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), PATIENCE)
        except (TimeoutError, asyncio.CancelledError):
            self.kill()
            await self._process.wait()
        await self._overhearing

    def kill(self) -> None:
        """Kill it at once."""
        if self._process.returncode is None:
            self._process.kill()

    async def _write(self, value: Any) -> None:
        assert self._process.stdin is not None  # noqa: S101 - we asked for a pipe
        self._process.stdin.write(f"{json.dumps(value)}\n".encode())
        with contextlib.suppress(ConnectionError):  # what is read next tells of it
            await self._process.stdin.drain()

    async def _overhear(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - we asked for a pipe
        async for line in self._process.stderr:
            self._errors.append(line.decode(errors="replace").strip())


class Troupe:
    """Everybody who is measured: two processes each, whose tables go when they do."""

    def __init__(self, contestants: list[Contestant], name: str) -> None:
        self._contestants, self._name = contestants, name
        self._members: list[Member] = []
        self._installed: list[Contestant] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is not None:
            self.kill()
        members, self._members = self._members, []
        for member in members:
            await member.end()
        for contestant in self._installed:
            remover = await Member.start(contestant, self._name)
            try:
                await remover.do("remove")
            finally:
                await remover.end()

    async def enter(self, contestant: Contestant) -> tuple[Member, Member]:
        """Make the tables of one who is measured, and start the processes.

        Raises:
            SideFailed: that was not possible.
        """
        self._installed.append(contestant)
        first, second = await self._start(contestant), await self._start(contestant)
        await first.do("install")
        await second.do("open")
        return first, second

    def kill(self) -> None:
        """Kill all processes at once."""
        for member in self._members:
            member.kill()

    async def _start(self, contestant: Contestant) -> Member:
        member = await Member.start(contestant, self._name)
        self._members.append(member)
        return member
