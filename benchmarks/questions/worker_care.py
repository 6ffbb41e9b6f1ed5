"""How soon does a Worker begin, what does it cost to have one, and how much memory does it take?"""

from __future__ import annotations

from benchmarks.plan import Bound, Question, Run

PICK_UP, IDLE, ENDURE = "pick-up, own process", "idle", "200,000 jobs, part by part"

QUESTION = Question(
    name="care-postgresql",
    title="A Worker on PostgreSQL: pick-up, idling, memory",
    family="postgresql",
    runs=(
        Run(PICK_UP, "worker", "pick up", "asyncpg", 500),
        Run(IDLE, "worker", "idle", "asyncpg", 1),
        Run(ENDURE, "worker", "endure", "asyncpg", 200_000),
    ),
    bounds=(
        Bound(PICK_UP, "p50 ms", 1.5),
        Bound(IDLE, "statements/s", 1.0),
        Bound(ENDURE, "MB", 100),
        Bound(ENDURE, "MB grown", 5),
    ),
)
