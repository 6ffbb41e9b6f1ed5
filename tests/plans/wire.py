"""How often a client and its server take turns to speak: what an operation costs over a network."""

from __future__ import annotations

import contextlib
import selectors
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

import pytest
import sqlalchemy as sa

from oqron_sql import AsyncSQLStore
from tests.backends import BACKENDS, BLOCKING_DRIVERS, Backends
from tests.conftest import installed

CHUNK = 1 << 16
# Drivers prepare a statement that they have seen a few times: count what comes after that.
WARM = 7
DRIVERS = ("pg-asyncpg", "pg-psycopg", "maria-pymysql-thread", "maria-asyncmy")


class Counted(NamedTuple):
    """An empty database of a kind of server, and how often its clients have spoken so far."""

    kind: str
    url: sa.URL
    turns: Callable[[], int]


@contextlib.contextmanager
def counted(driver: str, backends: Backends, config: pytest.Config) -> Iterator[Counted]:
    """Open a database to which there is but one way, which is counted."""
    skip_unless_asked_for(driver, config)
    backend = BACKENDS[driver]
    kind = backend.server or ""
    with installed():
        server = backends.server(kind)
    admin = sa.create_engine(server.url(BLOCKING_DRIVERS[kind]), isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.exec_driver_sql("CREATE DATABASE wire")
        with CountingProxy(server.port) as proxy:
            url = sa.make_url(server.url(backend.driver, "wire")).set(port=proxy.port)
            yield Counted(kind, url, lambda: proxy.turns)
        conn.exec_driver_sql("DROP DATABASE wire")
    admin.dispose()


async def statements(store: AsyncSQLStore) -> Callable[[], int]:
    """Return what counts the statements of a store on SQLite, of one connection."""
    said: list[str] = []

    def listen(tx: Any) -> None:
        driver: sqlite3.Connection = tx.conn.connection.driver_connection
        driver.set_trace_callback(said.append)

    await store.run(listen)
    return lambda: len(said)


def skip_unless_asked_for(backend: str, config: pytest.Config) -> None:
    """Skip a test of a backend if others were asked for."""
    chosen = config.getoption("backend")
    if chosen and backend not in chosen:
        pytest.skip("another backend was asked for")


class CountingProxy:
    """Passes one connection at a time on to `port`, and counts the turns of the client."""

    def __init__(self, port: int) -> None:
        self.turns = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a client
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                with client, server, contextlib.suppress(OSError):
                    self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        others = {client: server, server: client}
        spoke = server
        for speaker in _speaking(client, server):
            data = speaker.recv(CHUNK)
            if not data:
                return
            if speaker is client and spoke is server:
                self.turns += 1
            spoke = speaker
            others[speaker].sendall(data)


def _speaking(*sockets: socket.socket) -> Iterator[socket.socket]:
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                speaker: Any = key.fileobj
                yield speaker
