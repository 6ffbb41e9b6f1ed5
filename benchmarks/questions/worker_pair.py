"""How fast do two processes of a Worker drain a queue on PostgreSQL, beside pgqueuer's?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

JOBS = 40_000
OURS, THEIRS, ALONE = "two Workers", "two of pgqueuer, batch 500", "one Worker"

QUESTION = Question(
    name="pair-postgresql",
    title="Drain 40,000 no-op jobs by two processes, PostgreSQL",
    family="postgresql",
    runs=(
        Run(OURS, "pair", "worker", "asyncpg", JOBS, 100),
        Run(THEIRS, "pair", "pgqueuer", "asyncpg", JOBS, 500),
        Run(ALONE, "worker", "drain", "asyncpg", JOBS, 100),
    ),
    comparisons=(Comparison(OURS, THEIRS, 1.2), Comparison(OURS, ALONE)),
)
