"""Ten times the history costs no more; asked first, while nobody has changed what was loaded."""

from __future__ import annotations

import pytest

from tests.plans.operations import OPERATIONS, Operation
from tests.plans.stage import Database

FLAT = (
    "count completed", "count waiting", "get_job_counts", "get_active_count",
    "find_job_by_id", "find_by_deduplication_key", "list waiting", "list completed",
    "fetch 50", "fetch 50 of a name", "fetch 10 by turns", "finish 50", "finish 50 in all ways",
    "recover_lost 50", "clean 50 completed",
)  # fmt: skip
BY_NAME = {operation.name: operation for operation in OPERATIONS}


@pytest.mark.parametrize("operation", [BY_NAME[name] for name in FLAT], ids=FLAT)
def test_ten_times_the_history_costs_no_more(database: Database, operation: Operation) -> None:
    small, full = database.stage("small"), database.stage("full")
    before = small.observe(lambda: operation.ready(small.store)).costs
    after = full.observe(lambda: operation.ready(full.store)).costs
    # An index of PostgreSQL is a level higher, which is a block more for each look into it.
    assert all(after[unit] <= 1.2 * before[unit] + 20 for unit in before), (before, after)
