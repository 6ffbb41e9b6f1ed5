"""Does a Worker on PostgreSQL slow down when many jobs wait?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

JOBS = 20_000
FEW, MANY = "20,000 waiting", "500,000 waiting"

QUESTION = Question(
    name="backlog-postgresql",
    title="Work off 20,000 jobs when they are all, and when they are the first of 500,000",
    family="postgresql",
    runs=(
        Run(FEW, "worker", "drain", "asyncpg", JOBS, 100),
        Run(MANY, "worker", "backlog", "asyncpg", JOBS, 100),
    ),
    comparisons=(Comparison(MANY, FEW, 0.9),),
)
