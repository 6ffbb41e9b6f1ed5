"""The store a test of the kit gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from oqron_sql.contract import AsyncStore
from oqron_sql.testing.harness import CAPABILITIES, StoreHarness, why_not


@pytest_asyncio.fixture
async def store(request: pytest.FixtureRequest, harness: StoreHarness) -> AsyncIterator[AsyncStore]:
    """Open a store by the harness, which is a fixture of whoever runs the kit."""
    check(request.function, harness)
    try:
        yield await harness.open()
    finally:
        await harness.close()


def check(test: Callable[..., object], harness: StoreHarness) -> None:
    """Skip a test that needs what the stores lack; fail if what they lack is unheard of. [1]"""
    unknown = harness.missing.keys() - CAPABILITIES.keys()
    if unknown:
        pytest.fail(f"no such capability: {sorted(unknown)}; there are {sorted(CAPABILITIES)}")
    reason = why_not(test, harness)
    if reason:
        pytest.skip(reason)
