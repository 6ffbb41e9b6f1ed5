"""The session's Redis, and adapters on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.backends import Backends
from tests.conftest import installed
from tests.proxy import Proxy, proxied
from tests.redis.harness import RedisHarness
from tests.servers import Server


@pytest.fixture
def server(backends: Backends) -> Server:
    """The session's Redis."""
    with installed():
        return backends.server("redis")


@pytest_asyncio.fixture
async def harness(server: Server) -> AsyncIterator[RedisHarness]:
    """What opens adapters on the empty server."""
    made = RedisHarness(server)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    """A way to the server on which replies can be lost."""
    async with proxied(server.port) as made:
        yield made
