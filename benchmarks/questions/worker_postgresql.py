"""How fast does one whole Worker work off a queue on PostgreSQL, beside pgqueuer's?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

JOBS = 40_000
BEST, PEERS_BEST = "Worker, concurrency 100", "pgqueuer, batch 500"
DEFAULT, PEERS_DEFAULT = "Worker as it comes", "pgqueuer, batch 10 (its default)"
POOLED = "pgqueuer, batch 500, pool"

QUESTION = Question(
    name="worker-postgresql",
    title="Drain 40,000 no-op jobs with a whole worker, PostgreSQL, one process",
    family="postgresql",
    runs=(
        Run(BEST, "worker", "drain", "asyncpg", JOBS, 100),
        Run(PEERS_BEST, "pgqueuer", "drain", "asyncpg", JOBS, 500),
        Run(DEFAULT, "worker", "drain", "asyncpg", JOBS),
        Run(PEERS_DEFAULT, "pgqueuer", "drain", "asyncpg", JOBS, 10),
        Run(POOLED, "pgqueuer", "drain", "asyncpg", JOBS, 500, in_flight=4),
        Run("bare loop, batch 100", "store", "drain", "asyncpg", JOBS, 100),
    ),
    comparisons=(
        Comparison(BEST, PEERS_BEST, 1.4),
        Comparison(BEST, POOLED, 1.4),
        Comparison(DEFAULT, PEERS_DEFAULT, 2.0),
        Comparison(BEST, "bare loop, batch 100"),
    ),
)
