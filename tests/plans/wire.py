"""How often a client and its server take turns to speak: what an operation costs over a network."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from typing import Any, Self

CHUNK = 1 << 16


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
