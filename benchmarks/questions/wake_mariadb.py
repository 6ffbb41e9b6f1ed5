"""How soon does an idle Worker begin a job that another process adds, on MariaDB?"""

from __future__ import annotations

from benchmarks.plan import Question, Run

LABEL = "Worker, idle"

QUESTION = Question(
    name="wake-mariadb",
    title="From before the add in one process to the handler in another, MariaDB",
    family="mariadb",
    runs=(Run(LABEL, "waking", "wake", "asyncmy", 20),),
)
