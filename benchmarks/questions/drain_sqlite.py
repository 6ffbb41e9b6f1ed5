"""How fast does one process work off a queue in a SQLite file?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

JOBS = 10_000
PEER = "huey, one thread"


def _store(batch: int) -> Run:
    return Run(f"blocking {batch}", "blocking", "drain", "sqlite", JOBS, batch)


QUESTION = Question(
    name="drain-sqlite",
    title="Drain 10,000 no-op jobs, SQLite (WAL, FULL), one process; the number is the batch size",
    family="sqlite",
    runs=(
        _store(100),
        Run(PEER, "huey", "drain", "sqlite", JOBS),
        _store(500),
        _store(10),
        Run("awaited 100", "store", "drain", "sqlite", JOBS, 100),
    ),
    comparisons=(
        Comparison("blocking 100", PEER, 3.0),
        Comparison("blocking 500", PEER),
        Comparison("blocking 10", PEER),
        Comparison("awaited 100", PEER),
    ),
)
