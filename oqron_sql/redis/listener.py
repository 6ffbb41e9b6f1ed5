"""One connection on which everything is heard: wake-up calls and messages to subscribers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from oqron_sql.errors import StoreUnavailable
from oqron_sql.redis.keys import text

# How long nothing may be heard before the server is asked for a sign of life, in seconds.
SILENCE = 10.0
CONFIRMED_WITHIN = 10.0
LONGEST_PAUSE = 2.0
logger = logging.getLogger("oqron_sql")

Heard = Callable[[str | None], object]
"""Called with a message; with None once it can hear, at first and after a break in which it may
have missed some."""


class Listener:
    """Subscribes to channels, and again after every loss of the connection."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._heard: dict[str, list[Heard]] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._pubsub: Any = None
        self._listening: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def add(self, channel: str, heard: Heard) -> None:
        """Call `heard` with what comes over the channel, from some moment on."""
        if channel in self._heard:
            self._heard[channel].append(heard)
            if self._confirmed[channel].is_set():
                heard(None)
            return
        self._heard[channel], self._confirmed[channel] = [heard], asyncio.Event()
        if self._listening is None:
            self._listening = asyncio.ensure_future(self._listen())
        elif self._pubsub is not None:
            self._send(self._pubsub.subscribe(channel))

    async def confirmed(self, channel: str) -> None:
        """Wait until the server says that the channel is subscribed to.

        Raises:
            StoreUnavailable: it does not say so within ten seconds.
        """
        try:
            async with asyncio.timeout(CONFIRMED_WITHIN):
                await self._confirmed[channel].wait()
        except TimeoutError as error:
            raise StoreUnavailable("subscribing") from error

    def drop(self, channel: str, heard: Heard) -> None:
        """Call `heard` no more."""
        hearing = self._heard.get(channel, [])
        if heard not in hearing:
            return
        hearing.remove(heard)
        if not hearing:
            del self._heard[channel], self._confirmed[channel]
            if self._pubsub is not None:
                self._send(self._pubsub.unsubscribe(channel))

    async def close(self) -> None:
        """Stop listening."""
        self._heard.clear()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
            self._listening = None
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _send(self, command: Any) -> None:
        async def send() -> None:
            with contextlib.suppress(RedisError, OSError):  # then it listens anew, to all of them
                await command

        task = asyncio.ensure_future(send())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _listen(self) -> None:
        pause = 0.0
        while True:
            try:
                async with self._connect() as client, client.pubsub() as pubsub:
                    await pubsub.connect()
                    self._pubsub, pause = pubsub, 0.0
                    if self._heard:
                        await pubsub.subscribe(*self._heard)
                    await self._read(pubsub)
            except (RedisError, OSError) as error:
                level = logging.DEBUG if pause else logging.WARNING  # once is enough
                logger.log(level, "Redis cannot be heard: %s; listening again soon", error)
                pause = min(LONGEST_PAUSE, 2 * pause + 0.05)
            finally:
                self._pubsub = None
                for event in self._confirmed.values():
                    event.clear()
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret

    async def _read(self, pubsub: Any) -> None:
        """Read until the connection is lost; a silent one is asked whether it still is there."""
        asked = False
        while True:
            message = await pubsub.get_message(timeout=SILENCE)
            if message is not None:
                asked = False
                self._tell(message)
            elif asked:
                raise RedisConnectionError("the server is silent")
            else:
                asked = True
                await pubsub.ping()

    def _tell(self, message: dict[str, Any]) -> None:
        if message["type"] == "pong":
            return
        channel = text(message["channel"])
        if message["type"] == "subscribe" and channel in self._confirmed:
            self._confirmed[channel].set()
            for heard in tuple(self._heard[channel]):
                heard(None)
        elif message["type"] == "message":
            try:
                told = text(message["data"])
            except UnicodeDecodeError:  # it is none of ours: those are in UTF-8
                logger.warning("a message to %r is not UTF-8; it is skipped", channel)
                return
            for heard in tuple(self._heard.get(channel, ())):
                heard(told)
