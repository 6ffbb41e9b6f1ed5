"""The adapters' conformance kit on what is like Redis: clusters, and Valkey."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from oqron_sql.testing.adapters import *  # noqa: F403  # the kit is collected by its names
from tests import servers
from tests.clusters.cluster import cluster_of
from tests.conftest import installed
from tests.redis.harness import RedisHarness
from tests.servers import Server


@contextlib.contextmanager
def alone(start: Callable[[], contextlib.AbstractContextManager[Server]]) -> Iterator[list[Server]]:
    with start() as server:
        yield [server]


KINDS: dict[str, Callable[[], contextlib.AbstractContextManager[list[Server]]]] = {
    "redis-cluster": lambda: cluster_of(servers.redis),
    "valkey": lambda: alone(servers.valkey),
    "valkey-cluster": lambda: cluster_of(servers.valkey),
}


@pytest.fixture(scope="module", params=KINDS)
def started(request: pytest.FixtureRequest) -> Iterator[list[Server]]:
    with installed(), KINDS[request.param]() as found:
        yield found


@pytest.fixture
def harness(started: list[Server]) -> RedisHarness:
    return RedisHarness(*started)
