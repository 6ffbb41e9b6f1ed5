"""How soon does a process that waits for an id of an empty queue on Redis have it?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

TIMES = 1000

QUESTION = Question(
    name="wake-redis",
    title="From publish to handler, Redis, idle; a rate of 200 is a median of 5 ms",
    family="redis",
    runs=(
        Run("claim_blocking", "redis_broker", "wake", "redis", TIMES),
        Run("taskiq stream", "taskiq", "wake", "redis", TIMES),
    ),
    comparisons=(Comparison("claim_blocking", "taskiq stream"),),
)
