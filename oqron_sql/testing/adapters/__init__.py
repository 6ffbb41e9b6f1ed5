"""Every test of the adapters' kit; `import *` from here collects them."""

from types import ModuleType

import pytest

from oqron_sql.testing.adapters import (
    adapter_races,
    broadcasting,
    changing,
    crud,
    delaying_ids,
    filtering,
    fixture,
    handing_back,
    hostile_names,
    locking,
    ordering,
    pausing_ids,
    pruning,
    queueing,
    stale_claims,
    strategies,
    values,
    waiting,
    wrong_clocks,
)

ROLES: tuple[ModuleType, ...] = (
    *(crud, filtering, ordering, changing, pruning, values),
    *(queueing, strategies, delaying_ids, handing_back, stale_claims, pausing_ids, waiting),
    *(broadcasting, locking, hostile_names, wrong_clocks, adapter_races),
)

pytestmark = pytest.mark.asyncio
opened, storage, broker, lock = fixture.opened, fixture.storage, fixture.broker, fixture.lock

_tests = [
    (name, test) for role in ROLES for name, test in vars(role).items() if name.startswith("test_")
]
TESTS = dict(_tests)
if len(TESTS) < len(_tests):
    raise ImportError("two tests of the kit have the same name")

globals().update(TESTS)
__all__ = ["broker", "lock", "opened", "pytestmark", "storage", *TESTS]  # noqa: PLE0604  # the names of the tests are strings
