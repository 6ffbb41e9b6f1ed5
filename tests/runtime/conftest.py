"""One backend of each family, each with a store of its own for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from oqron_sql.contract import AsyncStore
from oqron_sql.testing import StoreHarness
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

# A twin of such a store shares its data, its engine, or has an engine of its own.
FAMILIES = ("memory", "sqlite-thread", "pg-asyncpg", "maria-pymysql-thread")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "family" in metafunc.fixturenames:
        asked = metafunc.config.getoption("backend") or FAMILIES
        kinds = {kind(name) for name in asked}
        chosen = [name for name in FAMILIES if kind(name) in kinds]
        metafunc.parametrize("family", chosen, scope="session")


def kind(name: str) -> str:
    """Return what a backend has in common with its family: the database."""
    backend = BACKENDS[name]
    return backend.server or ("memory" if backend.in_memory else "sqlite")


@pytest.fixture
def harness(family: str, backends: Backends) -> StoreHarness:
    with installed():
        return backends.harness(family)


@pytest_asyncio.fixture
async def store(harness: StoreHarness) -> AsyncIterator[AsyncStore]:
    try:
        yield await harness.open()
    finally:
        await harness.close()
