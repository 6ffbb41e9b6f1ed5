"""How soon does an idle Worker begin a job that another process adds, on PostgreSQL?"""

from __future__ import annotations

from benchmarks.plan import Bound, Question, Run

LABEL = "Worker, idle"

QUESTION = Question(
    name="wake-postgresql",
    title="From before the add in one process to the handler in another, PostgreSQL",
    family="postgresql",
    runs=(Run(LABEL, "waking", "wake", "asyncpg", 300),),
    bounds=(Bound(LABEL, "p50 ms", 1.5),),
)
