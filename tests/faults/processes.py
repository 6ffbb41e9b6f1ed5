"""The processes of a run, as the one who breaks them sees them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any


class Member:
    """One process that plays a role."""

    def __init__(self, pid: int, spec: Mapping[str, Any]) -> None:
        self.pid, self.spec = pid, spec
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def alive(self) -> bool:
        return not self.ended.done()

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; whether it was alive. Its id is not reused before it is reaped."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
                return True
        return False


class Nursery:
    """Starts processes, and learns of their ends."""

    def __init__(self, zygote: asyncio.subprocess.Process) -> None:
        self._zygote = zygote
        self._turn = asyncio.Lock()
        self._started: asyncio.Queue[int] = asyncio.Queue()
        self._members: dict[int, Member] = {}
        self._codes: dict[int, int] = {}
        self._listening = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        assert self._zygote.stdout
        async for line in self._zygote.stdout:
            what, pid, code = json.loads(line)
            if what == "ended":
                member = self._members.pop(pid, None)
                if member is None:
                    self._codes[pid] = code  # so soon that nobody has it yet
                else:
                    member.ended.set_result(code)
            else:
                self._started.put_nowait(pid)

    async def start(self, **spec: Any) -> Member:
        """Start a process that plays a role."""
        async with self._turn:
            assert self._zygote.stdin
            self._zygote.stdin.write(f"{json.dumps(spec)}\n".encode())
            member = Member(await asyncio.wait_for(self._started.get(), 60), spec)
        if member.pid in self._codes:
            member.ended.set_result(self._codes.pop(member.pid))
        else:
            self._members[member.pid] = member
        return member

    async def ready(self) -> None:
        await asyncio.wait_for(self._started.get(), 60)

    async def close(self) -> None:
        """Kill whoever is left."""
        for member in list(self._members.values()):
            member.send(signal.SIGKILL)
        assert self._zygote.stdin
        self._zygote.stdin.close()
        await self._zygote.wait()
        self._listening.cancel()


@contextlib.asynccontextmanager
async def nursery(log: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[Nursery]:
    """Open a nursery; what its processes say goes to `log`."""
    with log.open("ab") as file:
        zygote = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.zygote"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    made = Nursery(zygote)
    try:
        await made.ready()
        yield made
    finally:
        await made.close()
