"""How soon does an idle Worker begin a job that another process adds, on SQLite?"""

from __future__ import annotations

from benchmarks.plan import Bound, Question, Run

LABEL = "Worker, idle"

QUESTION = Question(
    name="wake-sqlite",
    title="From before the add in one process to the handler in another, SQLite",
    family="sqlite",
    runs=(Run(LABEL, "waking", "wake", "sqlite", 300),),
    bounds=(Bound(LABEL, "p50 ms", 5),),
)
