"""The conformance kits: what a store or an adapter must do, to be run by whoever writes one.

Name a harness in `conftest.py` that opens your store, connected and empty, with metrics on:

    import pytest
    from oqron_sql.testing import StoreHarness

    class MyHarness(StoreHarness):
        missing = {"movable_clock": "our server's clock cannot be moved"}

        async def open(self):
            return await self.keep(MyStore("…", metrics=Metrics()))

        async def another(self):
            return await self.keep(MyStore("…", metrics=Metrics()))

    @pytest.fixture
    def harness():
        return MyHarness()

and collect the tests in a file of its own, which runs them all with `pytest`:

    from oqron_sql.testing.store import *

A blocking store is wrapped: `self.keep(awaited(MyStore("…")))`. What a store cannot do is named in
`missing` with the reason; the tests that need it are then skipped, and a name that is not one of
`CAPABILITIES` fails. The kit needs pytest, pytest-asyncio and, for the tests of wrong clocks,
time-machine.

For a storage, a broker or a lock there is `AdapterHarness` in the same manner, and
`oqron_sql.testing.adapters`; a blocking one is wrapped by `create_storage` and the like.
"""

import pytest

# Before they are imported, or their assertions would say nothing.
pytest.register_assert_rewrite(
    "oqron_sql.testing.store", "oqron_sql.testing.adapters", "oqron_sql.testing.steps"
)

from oqron_sql.testing.adapter_harness import ADAPTER_CAPABILITIES, AdapterHarness  # noqa: E402
from oqron_sql.testing.harness import CAPABILITIES, StoreHarness, awaited, requires  # noqa: E402

__all__ = [
    "ADAPTER_CAPABILITIES",
    "CAPABILITIES",
    "AdapterHarness",
    "StoreHarness",
    "awaited",
    "requires",
]
