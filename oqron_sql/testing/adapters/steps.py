"""What most tests of the adapters do first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from oqron_sql.contract.adapters import Claim, Strategy
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncStorage
from oqron_sql.testing.adapter_harness import AdapterHarness
from oqron_sql.testing.harness import CALLERS
from oqron_sql.testing.steps import HOUR, MILLISECOND, MINUTE, SECOND

__all__ = ["HOUR", "MILLISECOND", "MINUTE", "SECOND"]

BROKER = "queue"
SPACE = "things"
ME, OTHER = "consumer-1", "consumer-2"
NOW, DAY = timedelta(0), timedelta(days=1)
PATIENCE = 10.0  # seconds until something is taken for lost
LIMIT = 60.0  # seconds that many callers have for what they do together
T2024 = datetime(2024, 2, 29, 23, 59, 58, 123_000, tzinfo=UTC)

A = TypeVar("A")
R = TypeVar("R")


async def publish(broker: AsyncBroker, *ids: str, name: str = BROKER, **options: Any) -> None:
    """Publish ids, one after another."""
    for each in ids:
        await broker.publish(name, each, **options)


async def claim(
    broker: AsyncBroker,
    limit: int = 100,
    strategy: Strategy | str = Strategy.FIFO,
    *,
    consumer: str = ME,
    ttl: timedelta = DAY,
    name: str = BROKER,
) -> list[Claim]:
    """Claim up to `limit` ids."""
    return await broker.claim(name, consumer, limit, ttl, strategy)


async def take(broker: AsyncBroker, *, consumer: str = ME, ttl: timedelta = DAY) -> Claim:
    """Claim one id, which must be there."""
    claims = await claim(broker, 1, consumer=consumer, ttl=ttl)
    assert claims, "no id was handed out"
    return claims[0]


async def take_one_by_one(broker: AsyncBroker, strategy: Strategy | str, n: int = 100) -> list[str]:
    """Claim ids one after another, until there is none or there are `n`; return them."""
    taken: list[str] = []
    while len(taken) < n and (found := await claim(broker, 1, strategy)):
        taken += found
    return taken


async def save(storage: AsyncStorage, **documents: Any) -> None:
    """Save documents under their names, one after another."""
    for name, document in documents.items():
        await storage.save(SPACE, name, document)


async def names(storage: AsyncStorage, *args: Any, **kwargs: Any) -> list[str]:
    """List documents; return what their "name" is."""
    return [each["name"] for each in await storage.list(SPACE, *args, **kwargs)]


async def callers(
    open_another: Callable[[], Coroutine[Any, Any, A]], first: A, harness: AdapterHarness
) -> list[A]:
    """Return whom concurrent calls are made by: two instances in turn, where there can be two."""
    second = first if "shared_data" in harness.missing else await open_another()
    return [first, second] * (CALLERS // 2)


async def each_raises(error: type[Exception], *calls: tuple[Any, ...]) -> None:
    """See each of `calls`, functions with their arguments, fail in that way."""
    for function, *arguments in calls:
        with pytest.raises(error):
            await function(*arguments)


async def together(calls: Iterable[Coroutine[Any, Any, R]]) -> list[R]:
    """Run `calls` at the same time; return what they returned."""
    async with asyncio.timeout(LIMIT):
        return await asyncio.gather(*calls)


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


def at_once(pieces: Iterable[Any], n: int) -> list[list[Any]]:
    """Deal `pieces` to `n` hands."""
    dealt = list(pieces)
    return [dealt[start::n] for start in range(n)]
