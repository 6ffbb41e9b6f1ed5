"""A part of the store's kit behind a pooler; all of it, and the adapters', by `nox -s pooler`."""

from __future__ import annotations

import pytest

from oqron_sql.testing import StoreHarness
from oqron_sql.testing.store import TESTS, fixture
from tests.backends import Backends
from tests.conftest import installed
from tests.hosts.hosts import SERVED
from tests.hosts.pooled import harness_of

PARTS = ("each_job_is_handed_out_once", "saves_of_one_key", "worker_s_life")

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.parametrize("name", [name for name in SERVED if name.startswith("pg")]),
]
store = fixture.store
globals().update(
    {name: test for name, test in TESTS.items() if any(part in name for part in PARTS)}
)


@pytest.fixture
def harness(name: str, backends: Backends) -> StoreHarness:
    with installed():
        return harness_of(backends, name)
