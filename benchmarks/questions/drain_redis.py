"""How fast does one process work off a queue on Redis?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

JOBS = 6_000
STREAM, BARE, LIST = "taskiq stream", "taskiq stream, bare", "taskiq list"

QUESTION = Question(
    name="drain-redis",
    title="Drain 6,000 no-op jobs, Redis, one process; the number is the batch size",
    family="redis",
    runs=(
        Run("broker 100", "redis_broker", "drain", "redis", JOBS, 100),
        Run(STREAM, "taskiq", "drain", "redis", JOBS, 100),
        Run(BARE, "taskiq", "drain_bare", "redis", JOBS, 100),
        Run("broker 10", "redis_broker", "drain", "redis", JOBS, 10),
        Run(LIST, "taskiq", "drain_list", "redis", JOBS, 100),
        Run("broker 100, documents", "redis_broker", "drain_documents", "redis", JOBS, 100),
    ),
    comparisons=(
        Comparison("broker 100", STREAM, 1.5),
        Comparison("broker 100", LIST, 1.5),
        Comparison("broker 100", BARE, 1.5),
        Comparison("broker 10", STREAM, 1.5),
        Comparison("broker 100, documents", STREAM, 1.5),
    ),
)
