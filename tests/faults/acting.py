"""What all roles share: they are told to stop, try again, pause, and open what they work on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from oqron_sql.adapters.async_sql import AsyncSQLBroker, AsyncSQLLock
from oqron_sql.contract import Clock
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock
from oqron_sql.errors import StoreUnavailable, UnsupportedDatabase
from oqron_sql.redis import AsyncRedisBroker, AsyncRedisLock, RedisConnection
from tests.faults.history import Journal
from tests.faults.recording import Doom, RecordedStore

QUEUE = "faults"
Spec = dict[str, Any]


@contextmanager
def stopping() -> Iterator[asyncio.Event]:
    """Give an event that is set when the process is told to stop."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    yield told
    loop.remove_signal_handler(signal.SIGTERM)


async def persist(told: asyncio.Event, call: Callable[[], Awaitable[Any]]) -> bool:
    """Try until it succeeds; False if the process is told to stop before."""
    while True:
        try:
            await call()
        except (StoreUnavailable, UnsupportedDatabase):  # it may be read-only just now
            if told.is_set():
                return False
            await asyncio.sleep(0.05)
        else:
            return True


async def pause(told: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(told.wait(), seconds)
    except TimeoutError:
        return


def store_of(spec: Spec) -> RecordedStore:
    clock = Clock(timedelta(seconds=spec.get("offset", 0)))
    RecordedStore.journal = Journal(Path(spec["folder"]), spec["name"])
    RecordedStore.doom = Doom(*spec.get("doom", ()))
    RecordedStore.space = spec["prefix"]
    return RecordedStore(spec["url"], prefix=spec["prefix"], pooler=spec.get("pooler"), clock=clock)


def on_redis(url: str) -> bool:
    """Whether there are adapters and no store."""
    return url.startswith("redis://")


class Ports(NamedTuple):
    """The adapters of a process, and where it writes down what it does with them."""

    broker: AsyncBroker
    lock: AsyncLock
    journal: Journal
    doom: Doom


@asynccontextmanager
async def opened(spec: Spec, told: asyncio.Event) -> AsyncIterator[Ports | None]:
    """Open the adapters, of whatever kind; None if the process is told to stop before."""
    if on_redis(spec["url"]):
        connection = RedisConnection(spec["url"], prefix=spec["prefix"])
        journal, doom = Journal(Path(spec["folder"]), spec["name"]), Doom(*spec.get("doom", ()))
        ports = Ports(AsyncRedisBroker(connection), AsyncRedisLock(connection), journal, doom)
        connecting, closing = connection.open, connection.close
    else:
        store = store_of(spec)
        ports = Ports(AsyncSQLBroker(store), AsyncSQLLock(store), store.journal, store.doom)
        connecting, closing = store.connect, store.disconnect
    try:
        yield ports if await persist(told, connecting) else None
    finally:
        await closing()
