"""A way to a server on which requests and replies can be lost, late, or in pieces."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator, Callable


class Cut(enum.Enum):
    """What is lost of a request when the connection breaks: all of it, or its reply alone."""

    REQUEST = enum.auto()
    REPLY = enum.auto()


class Proxy:
    """Passes everything on, until it is told otherwise."""

    def __init__(self, target: Callable[[], int]) -> None:
        self._target = target
        self._needle: bytes | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._swallowing: set[asyncio.StreamWriter] = set()
        self.lost = 0
        """How many requests or replies were lost."""
        self.is_down = False
        self.refused = 0
        """How many came while it was down."""
        self.port = 0
        self.cut: Callable[[bytes], Cut | None] = lambda data: None
        """Asked of everything that is requested: whether the connection breaks there."""
        self.delay: Callable[[], float] = lambda: 0
        """Asked of everything that comes by: how many seconds it takes."""
        self.piece = 65536
        """How many bytes are passed on at a time."""

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

    def _what_is_cut(self, data: bytes) -> Cut | None:
        if self._needle is not None and self._needle in data:
            self._needle = None
            self.is_down = True
            return Cut.REPLY
        return self.cut(data)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self.is_down:
            self.refused += 1
            writer.transport.abort()
            return
        try:
            theirs = await asyncio.open_connection("127.0.0.1", self._target())
        except OSError:
            writer.transport.abort()
            return
        server_reader, server_writer = theirs
        self._writers |= {writer, server_writer}
        losing = asyncio.Event()

        async def pass_on(data: bytes, to: asyncio.StreamWriter) -> None:
            if pause := self.delay():
                await asyncio.sleep(pause)
            for start in range(0, len(data), self.piece):
                if writer in self._swallowing:
                    break
                to.write(data[start : start + self.piece])
                await to.drain()

        async def requests() -> None:
            while data := await reader.read(65536):
                cut = self._what_is_cut(data)
                if cut is Cut.REPLY:
                    losing.set()
                elif cut is Cut.REQUEST:
                    self.lost += 1
                    break
                await pass_on(data, server_writer)
            server_writer.transport.abort()

        async def replies() -> None:
            while data := await server_reader.read(65536):
                if losing.is_set():
                    self.lost += 1
                    server_writer.transport.abort()
                    break
                await pass_on(data, writer)
            writer.transport.abort()

        with contextlib.suppress(OSError):
            await asyncio.gather(requests(), replies())
        for each in (writer, server_writer):
            each.transport.abort()
            self._writers.discard(each)


@contextlib.asynccontextmanager
async def proxied(target: int | Callable[[], int]) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a port, or of whichever a new connection is to go to."""
    made = Proxy(target if callable(target) else lambda: target)
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listening.close()
        made.break_all()
        await asyncio.sleep(0)
