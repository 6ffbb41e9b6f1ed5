"""The kit's harness for the adapters on Redis; what they left is checked after every test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

import redis

from oqron_sql.contract import Clock
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.redis import (
    AsyncRedisBroker,
    AsyncRedisLock,
    AsyncRedisStorage,
    RedisConnection,
    connect,
)
from oqron_sql.testing import AdapterHarness
from tests.redis.invariant import violations
from tests.servers import Server


class RedisHarness(AdapterHarness):
    """Opens adapters on servers that are emptied before: one, or those of a cluster."""

    missing: ClassVar[Mapping[str, str]] = {
        "visible_locks": "Redis lets go of them by itself, by its own clock"
    }

    def __init__(self, *servers: Server) -> None:
        self.clock = Clock()
        self.url = servers[0].url("redis")
        self._servers = servers
        self._opened: list[RedisConnection] = []
        with_each(servers, lambda client: client.flushall())

    async def connection(self, **options: Any) -> RedisConnection:
        """Return one more connection, closed after the test."""
        made = await connect(self.url, clock=self.clock, **options)
        self._opened.append(made)
        return made

    async def storage(self) -> AsyncStorage:
        return AsyncRedisStorage(await self.connection())

    async def broker(self) -> AsyncBroker:
        return AsyncRedisBroker(await self.connection())

    async def lock(self) -> AsyncLock:
        return AsyncRedisLock(await self.connection())

    async def advance(self, span: timedelta) -> None:
        self.clock.advance(span)

    async def close(self) -> None:
        while self._opened:
            await self._opened.pop().close()
        assert with_each(self._servers, lambda client: violations([client])) == [[]] * len(
            self._servers
        )


def with_each(servers: tuple[Server, ...], ask: Any) -> list[Any]:
    """Return what each server answers."""
    answers = []
    for server in servers:
        with redis.Redis(port=server.port) as client:
            answers.append(ask(client))
    return answers
