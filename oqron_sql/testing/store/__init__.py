"""Every test of the store kit; `import *` from here collects them."""

from types import ModuleType

import pytest

from oqron_sql.testing.store import (
    arguments,
    clocks,
    corners,
    counting,
    crud,
    deduplication,
    delaying,
    errors,
    events,
    finishing,
    firing,
    fixture,
    flows,
    group_room,
    groups,
    handing_back,
    leasing,
    maintenance,
    metrics,
    names,
    outlook,
    pausing,
    payloads,
    races,
    rate_limits,
    recovery,
    repeating,
    retention,
    retrying,
    scheduling,
    searching,
    stale,
    sweeping_races,
    trees,
    updating,
)

ROLES: tuple[ModuleType, ...] = (
    *(crud, updating, deduplication, payloads, names, clocks, arguments, errors),
    *(leasing, stale, finishing, repeating, recovery, delaying, pausing),
    *(groups, group_room, rate_limits, handing_back, outlook, retention, scheduling, firing),
    *(counting, searching, metrics, maintenance, retrying, events, flows, trees),
    *(corners, races, sweeping_races),
)

pytestmark = pytest.mark.asyncio
store = fixture.store

_tests = [
    (name, test) for role in ROLES for name, test in vars(role).items() if name.startswith("test_")
]
TESTS = dict(_tests)
if len(TESTS) < len(_tests):
    raise ImportError("two tests of the kit have the same name")

globals().update(TESTS)
__all__ = ["pytestmark", "store", *TESTS]  # noqa: PLE0604  # the names of the tests are strings
