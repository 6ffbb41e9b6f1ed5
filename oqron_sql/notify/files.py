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
QUIET = 0.1
FIRST_GAP, LONGEST_GAP = 0.004, 0.012


class FileWatcher:
    """A thread that looks at the times of files while somebody waits."""

    def __init__(self, paths: Sequence[str], ring: Callable[[], None]) -> None:
        self._paths, self._ring = paths, ring
        self._lock = threading.Condition()
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._seen: list[tuple[int, int] | None] = []
        self._rhythm = Rhythm()

    def attend(self) -> None:
        """Watch, for one more who waits."""
        with self._lock:
            self._waiting += 1
            if self._thread is None:
                self._seen = self._look()
                self._thread = threading.Thread(target=self._watch, name="oqron_sql", daemon=True)
                self._thread.start()

    def leave(self) -> None:
        """Watch for one less; for nobody, not at all."""
        with self._lock:
            self._waiting -= 1
            self._lock.notify()

    def pass_over(self) -> None:
        """Take a change for this process's own: those who wait were woken without us."""
        if self._waiting:
            with self._lock:
                if self._changed():
                    self._rhythm.note_own(time.monotonic())

    def _watch(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._lock.wait(1)
                if not self._waiting:
                    self._thread = None
                    return
                now = time.monotonic()
                if self._changed():
                    self._rhythm.note(now)
                rings = self._rhythm.rings(now)
            if rings:
                self._ring()
            time.sleep(PERIOD)

    def _changed(self) -> bool:
        seen, self._seen = self._seen, self._look()
        return seen != self._seen

    def _look(self) -> list[tuple[int, int] | None]:
        return [_state(path) for path in self._paths]


class Rhythm:
    """When to ring for changes.

    At once after a while of quiet, and a little less often while there is one after the other:
    nobody knows for whom they are, and everybody looks. After each change once more, a step later,
    for what may have been written together with it.
    """

    def __init__(self) -> None:
        self._noted = self._rung = self._last = float("-inf")
        self._soon = self._later = float("inf")
        self._gap = FIRST_GAP

    def note(self, now: float) -> None:
        """Note that something has changed."""
        if now - self._noted > QUIET:
            self._gap = FIRST_GAP
        self._noted = now
        self._soon = min(self._soon, max(now, self._rung + self._gap))
        self.note_own(now)

    def note_own(self, now: float) -> None:
        """Note a change that nobody has to be told of, which may have hidden another."""
        self._last = now
        self._later = min(self._later, now + STEP)

    def rings(self, now: float) -> bool:
        """Whether to ring now."""
        if now >= self._later:
            # What was written meanwhile had a step of its own to hide in.
            self._later = self._last + STEP if self._last + STEP > now else float("inf")
            return True
        if now >= self._soon:
            self._soon, self._rung = float("inf"), now
            self._gap = min(2 * self._gap, LONGEST_GAP)
            return True
        return False


def _state(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
