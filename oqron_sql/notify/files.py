"""Noticing that another process wrote to a database that is a file, without asking it anything."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence

PERIOD = 0.002
# A file's time of change moves in steps: what is written in one step with the change that was seen
# last would go unnoticed.
STEP = 0.012


class FileWatcher:
    """A thread that looks at the times of files while somebody waits."""

    def __init__(self, paths: Sequence[str], ring: Callable[[], None]) -> None:
        self._paths, self._ring = paths, ring
        self._wanted = threading.Condition()
        self._waiting = 0
        self._thread: threading.Thread | None = None

    def attend(self) -> None:
        """Watch, for one more who waits."""
        with self._wanted:
            self._waiting += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="oqron_sql", daemon=True)
                self._thread.start()

    def leave(self) -> None:
        """Watch for one less; for nobody, not at all."""
        with self._wanted:
            self._waiting -= 1
            self._wanted.notify()

    def _watch(self) -> None:
        seen, until = self._look(), 0.0
        while True:
            with self._wanted:
                if not self._waiting:
                    self._wanted.wait(1)
                if not self._waiting:
                    self._thread = None
                    return
            now = self._look()
            if now != seen:
                seen, until = now, time.monotonic() + STEP
            if time.monotonic() < until:
                self._ring()
            time.sleep(PERIOD)

    def _look(self) -> list[tuple[int, int] | None]:
        return [_state(path) for path in self._paths]


def _state(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
