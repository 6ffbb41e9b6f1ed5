"""Every question, by name; one file each."""

from __future__ import annotations

from benchmarks.plan import Question
from benchmarks.questions import (
    adapters_postgresql,
    drain_mariadb,
    drain_postgresql,
    drain_redis,
    drain_sqlite,
    save_mariadb,
    save_postgresql,
    save_sqlite,
    wake_mariadb,
    wake_postgresql,
    wake_redis,
    wake_sqlite,
    worker_backlog,
    worker_care,
    worker_pair,
    worker_postgresql,
    worker_sqlite,
)

QUESTIONS: dict[str, Question] = {
    question.name: question
    for question in (
        drain_postgresql.QUESTION,
        drain_sqlite.QUESTION,
        drain_mariadb.QUESTION,
        drain_redis.QUESTION,
        save_postgresql.QUESTION,
        save_sqlite.QUESTION,
        save_mariadb.QUESTION,
        wake_redis.QUESTION,
        wake_postgresql.QUESTION,
        wake_sqlite.QUESTION,
        wake_mariadb.QUESTION,
        worker_postgresql.QUESTION,
        worker_sqlite.QUESTION,
        worker_pair.QUESTION,
        worker_backlog.QUESTION,
        worker_care.QUESTION,
        adapters_postgresql.QUESTION,
    )
}


def chosen(words: list[str]) -> list[Question]:
    """Return the questions whose name starts with one of `words`; all of them without any."""
    found = [q for name, q in QUESTIONS.items() if not words or name.startswith(tuple(words))]
    unknown = [word for word in words if not any(name.startswith(word) for name in QUESTIONS)]
    if unknown:
        raise SystemExit(f"no question {', '.join(unknown)}; there are: {', '.join(QUESTIONS)}")
    return found
