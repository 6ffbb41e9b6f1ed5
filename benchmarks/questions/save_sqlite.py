"""How fast are jobs saved in a SQLite file, beside the bare driver and beside huey?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

SINGLE, BULK = 4_000, 40_000

QUESTION = Question(
    name="save-sqlite",
    title="Save jobs, SQLite (WAL, FULL): sequential, 1,000 per call",
    family="sqlite",
    runs=(
        Run("sequential", "blocking", "save", "sqlite", SINGLE),
        Run("raw sequential", "raw_sqlite", "save", "sqlite", SINGLE),
        Run("huey sequential", "huey", "save", "sqlite", SINGLE),
        Run("bulk", "blocking", "bulk", "sqlite", BULK, 1000),
        Run("raw bulk", "raw_sqlite", "bulk", "sqlite", BULK, 1000),
    ),
    comparisons=(
        Comparison("sequential", "raw sequential"),
        Comparison("sequential", "huey sequential"),
        Comparison("bulk", "raw bulk"),
    ),
)
