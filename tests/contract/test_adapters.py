"""The adapters' conformance kit on every backend."""

import pytest

from oqron_sql.testing import AdapterHarness
from oqron_sql.testing.adapters import *  # noqa: F403  # the kit is collected by its names
from tests.adapter_backends import ADAPTER_BACKENDS
from tests.backends import Backends
from tests.conftest import installed


@pytest.fixture
def harness(adapter_backend: str, backends: Backends) -> AdapterHarness:
    """What opens adapters of one backend after another, for the kit."""
    with installed():
        return ADAPTER_BACKENDS[adapter_backend](backends)
