"""One connection that listens, however many wait for what it hears."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable

from sqlalchemy.util import await_only, greenlet_spawn

from oqron_sql.contract.topics import EVERYTHING
from oqron_sql.engines import Source

logger = logging.getLogger("oqron_sql")

SLICE = 0.2  # seconds until a thread sees that it is to stop
PING = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0


class Listener:
    """Listens on a channel of the database, on a connection of its own, until it is closed.

    When the connection was lost and is there again, everybody is woken once: nobody knows what was
    said meanwhile.
    """

    def __init__(self, source: Source, channel: str, heard: Callable[[list[str]], None]) -> None:
        self._source, self._channel, self._heard = source, channel, heard
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self.listening = False

    def start(self) -> None:
        """Begin to listen; nothing if it has begun."""
        if self._thread is not None or (self._task is not None and _lives(self._task)):
            return
        self._stopped.clear()
        if self._source.hop == "greenlet":
            self._task = asyncio.ensure_future(greenlet_spawn(self._run))
        else:
            self._thread = threading.Thread(target=self._run, name="oqron_sql", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread, and its connection."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    async def astop(self) -> None:
        """End the task, and its connection."""
        self._stopped.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        if self._thread is not None:
            await asyncio.to_thread(self.stop)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 - drivers raise their own; it goes on
                logger.info("listening for hints failed: %s", type(error).__name__)
            if self.listening:
                self.listening, pause = False, FIRST_PAUSE
            self._rest(pause * random.uniform(0.5, 1))  # noqa: S311 - not a secret
            pause = min(2 * pause, LONGEST_PAUSE)

    def _listen(self) -> None:
        engine, dialect = self._source.engine, self._source.dialect
        if engine is None:
            return
        with engine.connect() as conn:
            driver = conn.connection.dbapi_connection
            conn.detach()  # the pool is for others
            try:
                dialect.listen(conn, self._channel, self._hear)
                self.listening = True
                self._heard([EVERYTHING])
                pinged = time.monotonic()
                while not self._stopped.is_set():
                    dialect.hear(conn, SLICE, self._hear, self._rest)
                    if time.monotonic() > pinged + PING:
                        # Else a link that swallows everything looks like one on which all is quiet.
                        conn.exec_driver_sql("SELECT 1")
                        pinged = time.monotonic()
            finally:
                with contextlib.suppress(Exception):  # whatever the driver says of a lost one
                    conn.close()
                    # Of some drivers, SQLAlchemy leaves a detached one open.
                    if driver is not None:
                        driver.close()

    def _hear(self, payload: str) -> None:
        self._heard(payload.split(","))

    def _rest(self, seconds: float) -> None:
        if self._source.hop == "greenlet":
            await_only(asyncio.sleep(seconds))
        else:
            self._stopped.wait(seconds)


def _lives(task: asyncio.Task[None]) -> bool:
    """Whether a task goes on; one whose event loop has ended never will, nor say so."""
    return not task.done() and not task.get_loop().is_closed()
