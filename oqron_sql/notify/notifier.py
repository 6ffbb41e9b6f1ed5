"""What a store wakes others with, and is woken by."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta

from sqlalchemy import URL, Connection

from oqron_sql.contract.topics import ASKING, EVERYTHING, Asked, job_topic, payload
from oqron_sql.engines import Source
from oqron_sql.notify.bells import ASKED_FOR, AsyncBell, Bell, Bells, bells_of
from oqron_sql.notify.files import FileWatcher
from oqron_sql.notify.listening import Listener

LOOK_EVERY = timedelta(seconds=1)
LOOK_EVERY_WHILE_LISTENING = timedelta(seconds=5)


class Notifier:
    """Hints at what was committed, out of this process and into it."""

    def __init__(self, source: Source, tables: str, *, push: bool, listen: bool) -> None:
        self._source, self._tables, self._listens = source, tables, listen
        self._nobody = Asked()
        digest = hashlib.blake2b(tables.encode(), digest_size=12).hexdigest()
        self.channel = f"oqron_{digest}" if push and source.dialect.pushes else None
        self._left_behind: list[object] = []
        self._bells: Bells | None = None
        self._listener: Listener | None = None
        self._watcher: FileWatcher | None = None
        self._open()

    def after_fork(self) -> None:
        """Listen for oneself: the thread or task that did is in the other process."""
        # Nothing of it may be let go of, for that would close its connection, which is theirs.
        self._left_behind += [self._bells, self._listener, self._watcher]
        self._open()

    def _open(self) -> None:
        source, tables = self._source, self._tables
        engine = source.engine
        if engine is None:
            return
        self._bells = bells_of(engine.url, tables)
        if self.channel is not None and self._listens:
            self._listener = Listener(source, self.channel, self._bells.hear)
        elif files := source.dialect.files(engine.url):
            everybody = self._bells
            self._watcher = FileWatcher(files, lambda: everybody.ring([EVERYTHING]))

    def twin(self, source: Source) -> Notifier:
        """Return a notifier for another event loop, which opens and closes what it needs itself."""
        push = self.channel is not None
        return Notifier(source, self._tables, push=push, listen=self._listens)

    @property
    def asked(self) -> Asked:
        """The jobs that somebody waits for."""
        return self._nobody if self._bells is None else self._bells.asked

    @property
    def look_every(self) -> timedelta:
        """How long to wait without a hint before looking."""
        listening = self._listener is not None and self._listener.listening
        return LOOK_EVERY_WHILE_LISTENING if listening else LOOK_EVERY

    def push(self, conn: Connection, topics: Collection[str]) -> None:
        """Tell other processes, in the transaction of `conn` if it is in one."""
        if self.channel is not None and topics:
            self._source.dialect.notify(conn, self.channel, payload(topics))

    def ring(self, url: URL, topics: Collection[str]) -> None:
        """Tell this process, after the commit."""
        if self._watcher is not None:
            self._watcher.pass_over()
        if topics:
            bells_of(url, self._tables).ring(topics)

    def ring_here(self, topic: str) -> None:
        """Wake those who wait for `topic` in this process, if only to see that it is over."""
        if self._bells is not None:
            self._bells.ring([topic])

    @contextlib.contextmanager
    def bell(self, topic: str) -> Iterator[Bell]:
        """Return what rings in this thread at `topic`, until the end of the block."""
        bell = Bell()
        with self._attending(), self._hung(topic, bell.ring):
            yield bell

    @contextlib.contextmanager
    def async_bell(self, topic: str) -> Iterator[AsyncBell]:
        """Return what rings on this loop at `topic`, until the end of the block."""
        bell = AsyncBell()
        with self._attending(), self._hung(topic, bell.ring):
            yield bell

    @contextlib.contextmanager
    def hints(self, queue: str, job_id: str, wake: Callable[[], object]) -> Iterator[None]:
        """Call `wake` at each hint at a job, until the end of the block."""
        topic = job_topic(queue, job_id)
        self.asked.add(topic, ASKED_FOR)
        with self._attending(), self._hung(topic, wake):
            yield

    def ask(self, conn: Connection, queue: str, job_id: str) -> None:
        """Ask this process and others for hints at a job."""
        topic = job_topic(queue, job_id)
        self.asked.add(topic, ASKED_FOR)
        if self.channel is not None:
            self._source.dialect.notify(conn, self.channel, ASKING + topic)

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.stop()

    async def aclose(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            await self._listener.astop()

    def _hung(
        self, topic: str, ring: Callable[[], object]
    ) -> contextlib.AbstractContextManager[None]:
        if self._bells is None:
            return contextlib.nullcontext()
        return self._bells.hung(topic, ring)

    @contextlib.contextmanager
    def _attending(self) -> Iterator[None]:
        if self._listener is not None:
            self._listener.start()
        if self._watcher is None:
            yield
            return
        self._watcher.attend()
        try:
            yield
        finally:
            self._watcher.leave()
