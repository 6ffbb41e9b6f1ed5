"""How fast does one whole Worker work off a queue on SQLite, beside huey's consumer?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

JOBS = 10_000

QUESTION = Question(
    name="worker-sqlite",
    title="Drain 10,000 no-op jobs with a whole worker, SQLite, synchronous=FULL, one process",
    family="sqlite",
    runs=(
        Run("Worker as it comes", "worker", "drain", "sqlite", JOBS),
        Run("huey, one worker", "huey", "drain", "sqlite", JOBS),
        Run("Worker, concurrency 100", "worker", "drain", "sqlite", JOBS, 100),
    ),
    comparisons=(Comparison("Worker as it comes", "huey, one worker", 1.4),),
)
