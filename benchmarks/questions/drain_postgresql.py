"""How fast does one process work off a queue on PostgreSQL?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

JOBS = 40_000
PEER, POOLED = "pgqueuer 500", "pgqueuer 500, pool"


def _store(driver: str, batch: int) -> Run:
    return Run(f"{driver} {batch}", "store", "drain", driver, JOBS, batch)


QUESTION = Question(
    name="drain-postgresql",
    title="Drain 40,000 no-op jobs, PostgreSQL, one process; the number is the batch size",
    family="postgresql",
    runs=(
        _store("asyncpg", 100),
        Run(PEER, "pgqueuer", "drain", "asyncpg", JOBS, 500),
        _store("asyncpg", 500),
        Run(POOLED, "pgqueuer", "drain", "asyncpg", JOBS, 500, in_flight=4),
        _store("asyncpg", 50),
        _store("asyncpg", 10),
        Run("pgqueuer 10", "pgqueuer", "drain", "asyncpg", JOBS, 10),
        _store("psycopg", 100),
    ),
    comparisons=(
        Comparison("asyncpg 100", PEER, 1.6),
        Comparison("asyncpg 100", POOLED, 1.6),
        Comparison("asyncpg 500", PEER, 1.6),
        Comparison("asyncpg 500", POOLED, 1.6),
        Comparison("asyncpg 50", PEER),
        Comparison("asyncpg 10", "pgqueuer 10"),
        Comparison("psycopg 100", PEER),
    ),
)
