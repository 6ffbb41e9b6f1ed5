"""The store a test of the kit gets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from oqron_sql.contract import AsyncStore
from oqron_sql.testing.harness import CAPABILITIES, StoreHarness, why_not


@pytest_asyncio.fixture
async def store(request: pytest.FixtureRequest, harness: StoreHarness) -> AsyncIterator[AsyncStore]:
    """Open a store by the harness, which is a fixture of whoever runs the kit."""
    unknown = harness.missing.keys() - CAPABILITIES.keys()
    if unknown:  # [1]
        pytest.fail(f"no such capability: {sorted(unknown)}; there are {sorted(CAPABILITIES)}")
    reason = why_not(request.function, harness)
    if reason:
        pytest.skip(reason)
    try:
        yield await harness.open()
    finally:
        await harness.close()
