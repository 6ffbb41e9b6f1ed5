"""A part of the store's kit in transactions of a host; all of it by `nox -s joined`."""

from __future__ import annotations

import pytest

from oqron_sql.testing import StoreHarness
from oqron_sql.testing.store import TESTS, fixture
from tests.backends import Backends
from tests.conftest import installed
from tests.hosts.joined import harness_of

PARTS = ("each_job_is_handed_out_once", "worker_s_life")

pytestmark = pytest.mark.asyncio
store = fixture.store
globals().update(
    {name: test for name, test in TESTS.items() if any(part in name for part in PARTS)}
)


@pytest.fixture
def harness(host_name: str, backends: Backends) -> StoreHarness:
    with installed():
        return harness_of(backends, host_name)
