"""How long does a claim take on PostgreSQL, however long the backlog, and how soon is one woken?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

FEW, MANY = 1_000, 500_000
STRATEGIES = ("fifo", "lifo", "priority")


def _claim(strategy: str, backlog: int) -> Run:
    return Run(f"{strategy}, {backlog:,} wait", "adapters", strategy, "asyncpg", backlog, 10)


QUESTION = Question(
    name="adapters-postgresql",
    title="Claims of 10, wake-ups and pruning, PostgreSQL; a job is a call, of the median duration",
    family="postgresql",
    runs=(
        *(_claim(strategy, n) for strategy in STRATEGIES for n in (FEW, MANY)),
        Run("wake-up, asyncpg", "adapters", "wake", "asyncpg", 200),
        Run("wake-up, psycopg", "adapters", "wake", "psycopg", 200),
        Run("prune 200,000", "adapters", "prune", "psycopg", 200_000),
    ),
    # Flat, as far as the noise of a machine lets one tell.
    comparisons=tuple(
        Comparison(f"{strategy}, {MANY:,} wait", f"{strategy}, {FEW:,} wait", 0.7)
        for strategy in STRATEGIES
    ),
)
