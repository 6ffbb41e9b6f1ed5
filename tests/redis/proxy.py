"""A way to a server on which a reply can be lost: the request arrives, the connection breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """Passes everything on, until it is told which reply is to be lost."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._needle: bytes | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.lost = 0
        self.is_down = False
        self._swallowing: set[asyncio.StreamWriter] = set()
        self.port = 0

    def lose_reply(self, needle: str) -> None:
        """Break the connection once the server answers the next request with `needle`.

        Nobody gets through after that until `is_down` is false again.
        """
        self._needle = needle.encode()

    def swallow(self) -> None:
        """Let nothing come over the connections there are any more, and break none."""
        self._swallowing |= self._writers

    def break_all(self) -> None:
        """Break every connection there is."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self.is_down:
            writer.transport.abort()
            return
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers |= {writer, server_writer}
        losing = asyncio.Event()

        async def requests() -> None:
            while data := await reader.read(65536):
                if self._needle is not None and self._needle in data:
                    self._needle = None
                    losing.set()
                if writer not in self._swallowing:
                    server_writer.write(data)
            server_writer.transport.abort()

        async def replies() -> None:
            while data := await server_reader.read(65536):
                if losing.is_set():
                    self.lost += 1
                    self.is_down = True
                    server_writer.transport.abort()
                    break
                if writer not in self._swallowing:
                    writer.write(data)
            writer.transport.abort()

        with contextlib.suppress(OSError):
            await asyncio.gather(requests(), replies())
        for each in (writer, server_writer):
            each.transport.abort()
            self._writers.discard(each)


@contextlib.asynccontextmanager
async def proxied(server_port: int) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a server."""
    made = Proxy(server_port)
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listening.close()
        made.break_all()
        await asyncio.sleep(0)
