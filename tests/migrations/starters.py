"""Processes that start at the same moment, round after round, on a database without tables.

Run as `python -m tests.migrations.starters`, with a JSON list of rounds on its input, each a URL
and a prefix. Prints how many seconds each start took, or how it failed. Everything is imported
before the processes part, so that they meet in the database and not in the import.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from typing import Any

import alembic.autogenerate
import alembic.script  # noqa: F401
import sqlalchemy as sa

from oqron_sql import dialects, migrate
from tests.migrations.targets import store_engine

PROCESSES = 16
Round = tuple[str, str]


def start_each_round(rounds: list[Round], barrier: Any, results: Any) -> None:
    for url, prefix in rounds:
        engine = store_engine(sa.make_url(url))
        barrier.wait(120)
        began = time.perf_counter()
        try:
            start(engine, prefix)
            results.put((prefix, time.perf_counter() - began, None))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test tells it
            results.put((prefix, time.perf_counter() - began, f"{type(error).__name__}: {error}"))
        engine.dispose()


def start(engine: sa.Engine, prefix: str) -> None:
    """Do what connecting does."""
    with engine.connect() as conn:
        dialects.get(engine.dialect.name).check_server(conn)
    migrate.ensure(engine, prefix=prefix)


def main() -> None:
    rounds: list[Round] = json.load(sys.stdin)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(PROCESSES), context.SimpleQueue()
    processes = [
        context.Process(target=start_each_round, args=(rounds, barrier, results), daemon=True)
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    json.dump([results.get() for _ in range(PROCESSES * len(rounds))], sys.stdout)
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
