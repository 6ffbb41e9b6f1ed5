"""What the three adapters share: the clients, the clock, and how a script is sent."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Self, TypeVar

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from oqron_sql.contract.checks import check_name
from oqron_sql.contract.clock import Clock
from oqron_sql.errors import ConfigurationError, StoreClosed, StoreUnavailable
from oqron_sql.redis import clients
from oqron_sql.redis.checks import check_server
from oqron_sql.redis.keys import micros
from oqron_sql.redis.listener import Listener
from oqron_sql.redis.script import Script

PREFIX = "oqron"
_CLOSED = "after close(), which is for good; make another"
AT_ONCE = 16
ATTEMPTS = 7
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between them
UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError)

R = TypeVar("R")


class RedisConnection:
    """The way to one Redis server or cluster, for any number of adapters on one event loop.

    `server` is a URL, or a client of redis-py's asyncio that stays its owner's: it is neither
    closed nor changed. Nothing is opened before `open`. Whatever waits for ids or messages shares
    one more connection, which is always our own.

    Raises:
        ConfigurationError: the URL, the client or the prefix cannot be used.
    """

    def __init__(
        self,
        server: str | Any,
        *,
        prefix: str = PREFIX,
        clock: Clock | None = None,
        allow_eviction: bool = False,
    ) -> None:
        self.prefix = check_name("prefix", prefix)
        if set(prefix) & set("{}"):
            raise ConfigurationError(f"the prefix {prefix!r} must have no braces")
        self.clock = clock or Clock()
        self._allow_eviction = allow_eviction
        self._url = server if isinstance(server, str) else None
        given = self._url is None
        self._client = clients.checked(server) if given else clients.for_commands(server)
        self.listener = Listener(lambda: clients.for_listening(self._client))
        self._is_open = self.closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._chores: set[asyncio.Task[Any]] = set()
        self._name = os.urandom(8).hex()
        self._numbers, self._slots = itertools.count(), itertools.count()
        self._free_slots: list[int] = []

    def __repr__(self) -> str:
        return f"<RedisConnection {clients.address(self._client)} prefix={self.prefix!r}>"

    async def open(self) -> None:
        """Connect, and check that the server can keep what is promised.

        Raises:
            UnsupportedDatabase: it is too old, or may throw data away.
            StoreUnavailable: it cannot be reached.
            StoreClosed: it was closed.
        """
        if self.closed:
            raise StoreClosed(_CLOSED)
        self._loop = asyncio.get_running_loop()
        with _failing("connecting", changes=False):
            if self._url and (await self._send(self._leads_to_cluster))[0]:
                await self._client.aclose()
                self._client = clients.for_commands(self._url, cluster=True)
            await check_server(self._client, allow_eviction=self._allow_eviction)
        if self.closed:  # meanwhile
            await self._let_go()
            raise StoreClosed(_CLOSED)
        self._is_open = True

    async def close(self) -> None:
        """Let go of what is ours; may be called again, and on another event loop."""
        self._is_open, self.closed = False, True
        if self._loop not in (None, asyncio.get_running_loop()):
            if self._url and not clients.is_cluster(self._client):
                self._client.connection_pool.reset()  # they cannot be closed from here
            return
        await self.listener.close()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self._let_go()

    async def _let_go(self) -> None:
        if self._url:
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def command(self, *args: Any, changes: bool = False) -> Any:
        """Run one command of Redis that may be sent again as often as one likes."""
        self.check_open()
        with _failing(str(args[0]), changes=changes):
            reply, _ = await self._send(lambda: self._client.execute_command(*args))
            return reply

    async def run(self, script: Script, keys: tuple[str, ...], *args: Any) -> Any:
        """Run a script that may be sent again as often as one likes."""
        reply, _ = await self._run(script, keys, args)
        return reply

    async def run_once(self, script: Script, base: str, keys: tuple[str, ...], *args: Any) -> Any:
        """Run a script that is carried out once, however often the client sends it.

        Its last key is where the server keeps the reply for that. There are as many of them as
        this connection had requests under way at a time; with a client of the host's there is one
        for each request.
        """
        slot = self._free_slots.pop() if self._free_slots else next(self._slots)
        keys = (*keys, f"{base}:request:{self._name}:{slot}")
        reply, was_sent_again = await self._run(script, keys, args)
        # What was sent again may be still on its way, as it is after a failure. Whether a client of
        # the host's has sent it again it does not say.
        if self._url and not was_sent_again:
            self._free_slots.append(slot)
        return reply

    def check_open(self) -> None:
        """Refuse what is asked before `open` or after `close`, or on another event loop.

        Raises:
            StoreClosed: it is not open.
            ConfigurationError: it was opened on another event loop.
        """
        if not self._is_open:
            raise StoreClosed(
                _CLOSED if self.closed else "before open(); `await` its `open()` first"
            )
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigurationError(
                "this connection to Redis belongs to another event loop; open one for each loop"
            )

    def do_later(self, chore: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start something that is to be done even if nobody waits for it."""
        task = asyncio.ensure_future(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task

    async def _run(
        self, script: Script, keys: tuple[str, ...], args: tuple[Any, ...]
    ) -> tuple[Any, bool]:
        self.check_open()
        request = f"{self._name}:{next(self._numbers)}:"
        given = (micros(self.clock.offset), request, *args)
        with _failing(script.name, changes=script.changes):
            return await self._send(lambda: script.run(self._client, keys, given))

    async def _send(self, request: Callable[[], Coroutine[Any, Any, R]]) -> tuple[R, bool]:
        """Return the reply to a request, and whether it was sent more than once.

        With a client of ours it is sent again and again for some seconds, if need be. A client of
        the host's does about a lost reply what the host has told it.
        """
        attempts = ATTEMPTS if self._url else 1
        for attempt in itertools.count(1):
            try:
                async with self._turns:
                    return await request(), attempt > 1
            except UNREACHABLE as error:
                if attempt == attempts or isinstance(error, AuthenticationError):
                    raise
            pause = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2**attempt)
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
        raise AssertionError("the last attempt returns or fails")

    async def _leads_to_cluster(self) -> bool:
        try:
            told = await self._client.info("cluster")
        except NoPermissionError:
            return False
        return bool(told.get("cluster_enabled"))


async def connect(
    server: str | Any,
    *,
    prefix: str = PREFIX,
    clock: Clock | None = None,
    allow_eviction: bool = False,
) -> RedisConnection:
    """Return an open connection: `RedisConnection(…)` and `open()` in one."""
    made = RedisConnection(server, prefix=prefix, clock=clock, allow_eviction=allow_eviction)
    return await made.__aenter__()


@contextlib.contextmanager
def _failing(operation: str, *, changes: bool) -> Iterator[None]:
    try:
        yield
    except UNREACHABLE as error:
        raise StoreUnavailable(operation, unknown=changes) from error
    except RedisError as error:  # an answer: it was refused, and nothing was changed
        raise StoreUnavailable(operation) from error
