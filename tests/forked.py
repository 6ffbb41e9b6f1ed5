"""Other processes that play a role: forked in milliseconds of one that has imported all they need.

    with playing((drain, url), (drain, url)) as (one, other):
        one.say("go")
        told = one.rest()

A role is a function of the wire to whoever started it, and of what else it is given. What is said
is JSON, and the first word of each is "ready".
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

READY = "ready"
FORKING = multiprocessing.get_context("forkserver")
# A driver, or what else is missing, is passed over. `__main__` may be pytest's.
FORKING.set_forkserver_preload(
    [
        "__main__",
        *("aiosqlite", "alembic.command", "asyncmy", "asyncpg", "psycopg", "pymysql"),
        *(f"sqlalchemy.dialects.{name}" for name in ("mysql", "postgresql", "sqlite")),
        *("oqron_sql.adapters.sql", "oqron_sql.migrate", "oqron_sql.redis"),
    ]
)


class Wire:
    """One end of what two processes say to each other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def say(self, value: Any) -> None:
        """Say a JSON value, without waiting for it to be heard."""
        self._connection.send_bytes(json.dumps(value).encode())

    def hear(self) -> Any:
        """Return what is said next.

        Raises:
            EOFError: the other process has ended.
        """
        return json.loads(self._connection.recv_bytes())


Role = Callable[..., None]


class Player(Wire):
    """A process that plays a role, as seen by the one who started it."""

    def __init__(self, role: Role, *given: Any) -> None:
        ours, theirs = FORKING.Pipe()
        super().__init__(ours)
        self._process = FORKING.Process(target=_play, args=(role, theirs, given), daemon=True)
        self._process.start()
        theirs.close()  # so that its end is heard

    def rest(self) -> list[Any]:
        """Return what it says until its end, which must be a good one."""
        said = self._until_its_end()
        assert self.wait() == 0
        return said

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.alive and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def wait(self) -> int:
        """Wait for its end; return its exit status, or minus the signal that it died of."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def kill(self) -> list[Any]:
        """Kill it; return what it had said."""
        self._process.kill()
        return self._until_its_end()

    def end(self) -> None:
        """Kill it, if it still runs, and let go of it."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._connection.close()

    def _until_its_end(self) -> list[Any]:
        said = []
        with contextlib.suppress(EOFError):
            while True:
                said.append(self.hear())
        return said


@contextlib.contextmanager
def playing(*parts: tuple[Any, ...]) -> Iterator[list[Player]]:
    """Start a process for each part, a role and what it is given; yield them when all are ready."""
    players: list[Player] = []
    try:
        players.extend(Player(*part) for part in parts)
        for player in players:
            assert player.hear() == READY
        yield players
    finally:
        for player in players:
            player.end()


def _play(role: Role, connection: Connection, given: tuple[Any, ...]) -> None:
    role(Wire(connection), *given)
