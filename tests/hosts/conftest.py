"""Hosts on the backends, one engine for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.backends import BACKENDS, Backends
from tests.conftest import installed
from tests.hosts.engines import ENGINES
from tests.hosts.hosts import FAMILIES, HOSTS, SERVED, Host

MakeHost = Callable[..., Awaitable[Host]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its hosts: those on every driver, or one per family of databases."""
    chosen = metafunc.config.getoption("backend")
    lists = {"host_name": HOSTS, "served_name": SERVED, "family": FAMILIES}
    for fixture, names in lists.items():
        if fixture in metafunc.fixturenames:
            some = [name for name in names if not chosen or name in chosen]
            metafunc.parametrize(fixture, some, scope="session")
    if "family_of_it" in metafunc.fixturenames:
        pairs = [
            (name, setting)
            for name in FAMILIES
            for setting in ENGINES[BACKENDS[name].server or "sqlite"]
            if not chosen or name in chosen
        ]
        metafunc.parametrize(("family_of_it", "setting"), pairs)


@pytest_asyncio.fixture
async def make_host(backends: Backends) -> AsyncIterator[MakeHost]:
    """Make hosts with engines of any sort."""
    made: list[Host] = []

    async def make(name: str, *, connected: bool = True, **options: Any) -> Host:
        with installed():
            host = Host(BACKENDS[name], backends.database(BACKENDS[name]).url, **options)
        made.append(host)
        if connected:
            await host.store.connect()
        return host

    yield make
    for host in made:
        await host.close()


@pytest_asyncio.fixture
async def host(host_name: str, make_host: MakeHost) -> Host:
    """A host on each driver."""
    return await make_host(host_name)


@pytest_asyncio.fixture
async def served(served_name: str, make_host: MakeHost) -> Host:
    """A host on each driver of a database that has a server."""
    return await make_host(served_name)


@pytest_asyncio.fixture
async def typical(family: str, make_host: MakeHost) -> Host:
    """A host on one driver per family of databases."""
    return await make_host(family)
