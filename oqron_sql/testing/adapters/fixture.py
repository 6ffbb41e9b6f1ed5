"""The adapters a test of the kit gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable

import pytest
import pytest_asyncio

from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.testing.adapter_harness import ADAPTER_CAPABILITIES, AdapterHarness
from oqron_sql.testing.harness import why_not

PORTS = ("storage", "broker", "lock")


@pytest_asyncio.fixture
async def opened(
    request: pytest.FixtureRequest, harness: AdapterHarness
) -> AsyncIterator[AdapterHarness]:
    """The harness, which is a fixture of whoever runs the kit, and is closed after the test."""
    check(request.function, harness, request.fixturenames)
    try:
        yield harness
    finally:
        await harness.close()


@pytest_asyncio.fixture
async def storage(opened: AdapterHarness) -> AsyncStorage:
    """An empty storage."""
    return await opened.storage()


@pytest_asyncio.fixture
async def broker(opened: AdapterHarness) -> AsyncBroker:
    """An empty broker."""
    return await opened.broker()


@pytest_asyncio.fixture
async def lock(opened: AdapterHarness) -> AsyncLock:
    """A lock of which nobody has any."""
    return await opened.lock()


def check(test: Callable[..., object], harness: AdapterHarness, asked: Iterable[str]) -> None:
    """Skip a test that needs what there is not; fail if what is missing is unheard of."""
    unknown = harness.missing.keys() - ADAPTER_CAPABILITIES.keys()
    if unknown:
        known = sorted(ADAPTER_CAPABILITIES)
        pytest.fail(f"no such capability: {sorted(unknown)}; there are {known}")
    reason = why_not(test, harness, *(port for port in PORTS if port in asked))
    if reason:
        pytest.skip(reason)
