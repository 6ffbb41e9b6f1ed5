"""The sqlite3 module without the store: one connection, WAL, synchronous FULL."""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa

from benchmarks import raw_sql
from benchmarks.measure import Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Profiler, main
from benchmarks.workload import WARM_UP


def save(task: Task, profiler: Profiler) -> Sample:
    """Save single jobs, one after the other."""
    return _save(task, profiler, 1)


def bulk(task: Task, profiler: Profiler) -> Sample:
    """Save jobs, `batch` in a call."""
    return _save(task, profiler, task.batch)


def _save(task: Task, profiler: Profiler, size: int) -> Sample:
    raw_sql.create_tables(task.url)
    connection = sqlite3.connect(str(sa.make_url(task.url).database), isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")

    def insert(first: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        rows = [raw_sql.new_row(number) for number in range(first, first + size)]
        connection.executemany(raw_sql.SQLITE_INSERT, rows)
        connection.execute("COMMIT")

    for number in range(WARM_UP // size):
        insert(number)
    (before,) = connection.execute(raw_sql.WAITING).fetchone()
    meter = Meter(task.server_pid)
    meter.start()
    with profiler:
        for first in range(0, task.jobs, size):
            insert(first)
    sample = meter.sample(task.jobs)
    (after,) = connection.execute(raw_sql.WAITING).fetchone()
    if after - before != task.jobs:
        raise RuntimeError("not every job was saved")
    connection.close()
    return sample


if __name__ == "__main__":
    main({"save": save, "bulk": bulk})
