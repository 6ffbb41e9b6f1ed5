"""How fast are jobs saved on PostgreSQL: one by one, ten at a time, a thousand per call?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

SINGLE, CONCURRENT, BULK = 4_000, 8_000, 40_000

QUESTION = Question(
    name="save-postgresql",
    title="Save jobs, PostgreSQL: sequential, ten in flight, 1,000 per call",
    family="postgresql",
    runs=(
        Run("sequential", "store", "save", "asyncpg", SINGLE),
        Run("pgqueuer sequential", "pgqueuer", "save", "asyncpg", SINGLE),
        Run("raw sequential", "raw_asyncpg", "save", "asyncpg", SINGLE),
        Run("ten in flight", "store", "save", "asyncpg", CONCURRENT, in_flight=10),
        Run("pgqueuer ten in flight", "pgqueuer", "save", "asyncpg", CONCURRENT, in_flight=10),
        Run("raw ten in flight", "raw_asyncpg", "save", "asyncpg", CONCURRENT, in_flight=10),
        Run("bulk", "store", "bulk", "asyncpg", BULK, 1000),
        Run("pgqueuer bulk", "pgqueuer", "bulk", "asyncpg", BULK, 1000),
        Run("raw bulk", "raw_asyncpg", "bulk", "asyncpg", BULK, 1000),
        Run("psycopg sequential", "store", "save", "psycopg", SINGLE),
        Run("psycopg ten in flight", "store", "save", "psycopg", CONCURRENT, in_flight=10),
        Run("psycopg bulk", "store", "bulk", "psycopg", BULK, 1000),
    ),
    comparisons=(
        Comparison("sequential", "pgqueuer sequential", 1.5),
        Comparison("ten in flight", "pgqueuer ten in flight", 1.5),
        Comparison("bulk", "pgqueuer bulk", 1.2),
        Comparison("raw sequential", "pgqueuer sequential"),
        Comparison("raw ten in flight", "pgqueuer ten in flight"),
        Comparison("raw bulk", "pgqueuer bulk"),
        Comparison("psycopg sequential", "pgqueuer sequential"),
        Comparison("psycopg ten in flight", "pgqueuer ten in flight"),
        Comparison("psycopg bulk", "pgqueuer bulk"),
    ),
)
