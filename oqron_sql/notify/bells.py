"""Who waits for what in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import URL

from oqron_sql.contract.topics import ASKING, EVERYTHING, Asked

ASKED_FOR = 30.0  # seconds


class Bell:
    """Wakes a thread. What rings before it waits is not missed."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """Wake it, from any thread."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Wait until it rings, for so long at most."""
        self._event.wait(seconds)
        self._event.clear()


class AsyncBell:
    """Wakes a coroutine of the running loop. What rings before it waits is not missed."""

    def __init__(self) -> None:
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake it, from any thread."""
        if threading.get_ident() == self._thread:
            self._event.set()
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> bool:
        """Wait until it rings, for so long at most; whether it did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        rung = self._event.is_set()
        self._event.clear()
        return rung


class Bells:
    """The bells of all who wait on one set of tables, by topic."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rings: dict[str, set[Callable[[], object]]] = {}
        self.asked = Asked()

    @contextlib.contextmanager
    def hung(self, topic: str, ring: Callable[[], object]) -> Iterator[None]:
        """Call `ring` for each hint at `topic`, until the end of the block."""
        with self._lock:
            self._rings.setdefault(topic, set()).add(ring)
        try:
            yield
        finally:
            with self._lock:
                left = self._rings[topic]
                left.discard(ring)
                if not left:
                    del self._rings[topic]

    def hear(self, told: Iterable[str]) -> None:
        """Ring what another process told of, and note what it asked for."""
        topics: list[str] = []
        for each in told:
            if each.startswith(ASKING):
                self.asked.add(each.removeprefix(ASKING), ASKED_FOR)
            else:
                topics.append(each)
        self.ring(topics)

    def ring(self, topics: Iterable[str]) -> None:
        """Wake those who wait for one of `topics`; `EVERYTHING` is all of them."""
        with self._lock:
            told = set(topics)
            if EVERYTHING in told:
                told = set(self._rings)
            rings = [ring for topic in told for ring in self._rings.get(topic, ())]
        for ring in rings:
            ring()


_known: weakref.WeakValueDictionary[tuple[object, ...], Bells]
_knowing: threading.Lock


def _forget() -> None:
    """Know nobody: whoever waits does so in the process that this one was forked from."""
    global _known, _knowing
    _known, _knowing = weakref.WeakValueDictionary(), threading.Lock()


_forget()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def bells_of(url: URL, tables: str) -> Bells:
    """Return the bells of `tables` in a database: the same for whoever uses it in this process."""
    key = (url.get_backend_name(), url.host, url.port, url.database, tables)
    with _knowing:
        return _known.setdefault(key, Bells())
