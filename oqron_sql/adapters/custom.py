"""Adapters from plain functions: whoever has those, blocking or not, has an adapter."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from oqron_sql.adapters import checking
from oqron_sql.adapters.checking import Port
from oqron_sql.contract.adapters import Claim, Handler, Strategy
from oqron_sql.contract.asking import check_handler
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.contract.checks import check_duration

logger = logging.getLogger("oqron_sql")

THREADS = 32
SLICE = timedelta(seconds=1)
"""How long a blocking function waits for an id at once: it cannot be interrupted."""

Function = Callable[..., Any]


def create_storage(given: Any) -> AsyncStorage:
    """Return a storage of the functions in `given`, an object or a mapping of names to functions.

    They are called as `AsyncStorage` says. Those that are not coroutine functions run in threads.
    In a mapping the names may also be OqronKit's, such as `saveIfAbsent`. An object that can be
    awaited throughout is returned as it is.

    Raises:
        InvalidAdapter: methods are missing, cannot be called, or are misspelt.
    """
    return cast(AsyncStorage, _create(checking.STORAGE, given))


def create_broker(given: Any) -> AsyncBroker:
    """Return a broker of the functions in `given`, as `create_storage` does.

    It may lack `claim_blocking`, and `broadcast` together with `subscribe`; `capabilities` tells.
    Of a blocking broker the handlers are called on the loop of the subscriber all the same.

    Raises:
        InvalidAdapter: methods are missing, cannot be called, or are misspelt.
    """
    return cast(AsyncBroker, _create(checking.BROKER, given))


def create_lock(given: Any) -> AsyncLock:
    """Return a lock of the functions in `given`, as `create_storage` does.

    Raises:
        InvalidAdapter: methods are missing, cannot be called, or are misspelt.
    """
    return cast(AsyncLock, _create(checking.LOCK, given))


def _create(port: Port, given: Any) -> object:
    functions = port.functions(given)
    blocking = {name for name, each in functions.items() if not _is_awaited(each)}
    if not blocking and all(getattr(given, name, None) == each for name, each in functions.items()):
        return given
    threads = Threads() if blocking else None
    made = {
        name: threads.carry(name, each) if threads and name in blocking else each
        for name, each in functions.items()
    }
    return Made(port, **made)


class Made(SimpleNamespace):
    """An adapter put together of functions."""

    def __init__(self, port: Port, **functions: Function) -> None:
        super().__init__(**functions)
        self._port = port

    def __repr__(self) -> str:
        return f"<{self._port.name} of functions>"


class Threads:
    """Carries calls of blocking functions into threads. A call that was begun is seen through."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "oqron_sql")
        self._nack: Function | None = None

    def carry(self, name: str, function: Function) -> Function:
        """Return the function of that name as one that is awaited."""
        match name:
            case "nack":
                self._nack = function
            case "claim_blocking":
                return functools.partial(self._claim_blocking, function)
            case "subscribe":
                return functools.partial(self._subscribe, function)

        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._call(function, *args, **kwargs)

        return call

    async def _call(self, function: Function, *args: Any, **kwargs: Any) -> Any:
        running = functools.partial(function, *args, **kwargs)
        task = asyncio.get_running_loop().run_in_executor(self._threads, running)
        try:
            found = await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):  # whatever it was, nobody is there to hear of it
                await self._hand_back(await task, *args)
            raise
        return await found if inspect.isawaitable(found) else found

    async def _hand_back(self, found: Any, broker: Any = None, *_: Any) -> None:
        """Let others have what was claimed for somebody who has given up."""
        for claimed in found if isinstance(found, list) else [found]:
            if isinstance(claimed, Claim) and self._nack is not None:
                await self._call(self._nack, broker, claimed)

    async def _claim_blocking(
        self,
        function: Function,
        broker: str,
        consumer: str,
        ttl: timedelta,
        timeout: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Claim | None:
        until = time.monotonic() + check_duration("timeout", timeout).total_seconds()
        while True:
            left = max(0.0, until - time.monotonic())
            part = SLICE if left > SLICE.total_seconds() else timedelta(seconds=left)
            found = await self._call(function, broker, consumer, ttl, part, strategy)
            if found is not None or part is not SLICE:
                return cast(Claim | None, found)

    async def _subscribe(
        self, function: Function, channel: str, handler: Handler
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        listener = _Listener(channel, check_handler(handler), asyncio.get_running_loop())
        end = await self._call(function, channel, listener.hear)

        async def unsubscribe() -> None:
            listener.handler = None
            await self._call(end)

        return unsubscribe


class _Listener:
    """A handler that is called on its loop, whichever thread the message comes from."""

    def __init__(self, channel: str, handler: Handler, loop: asyncio.AbstractEventLoop) -> None:
        self.channel = channel
        self.handler: Handler | None = handler
        self._loop = loop

    def hear(self, message: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._call, message)

    def _call(self, message: Any) -> None:
        try:
            if self.handler is not None:
                self.handler(message)
        except Exception:
            logger.warning("a subscriber of channel %r failed", self.channel, exc_info=True)


def _is_awaited(function: Function) -> bool:
    return any(map(inspect.iscoroutinefunction, (function, type(function).__call__)))
