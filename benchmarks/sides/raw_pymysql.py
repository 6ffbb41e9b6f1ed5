"""pymysql without the store: one connection, a plain loop."""

from __future__ import annotations

import json

import pymysql
import sqlalchemy as sa
from pymysql.cursors import Cursor

from benchmarks import raw_sql
from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.raw_sql import Row
from benchmarks.side import Profiler, main
from benchmarks.workload import QUEUE, WARM_UP


def drain(task: Task, profiler: Profiler) -> Sample:
    """Work off `jobs` jobs."""
    ledger, meter = Ledger(), Meter(task.server_pid)
    raw_sql.create_tables(task.url, task.jobs)
    connection = _connect(task.url, autocommit=False)

    def noop(row: Row) -> object:
        json.loads(row[25])
        ledger.record(row[0])
        return None

    meter.start()
    with profiler, connection.cursor() as cursor:
        while True:
            cursor.execute(raw_sql.MYSQL_CANDIDATES, (QUEUE, QUEUE, task.batch))
            rows = cursor.fetchall()
            if not rows:
                break
            cursor.execute(raw_sql.MYSQL_CLAIM, ("raw", tuple(row[0] for row in rows)))
            connection.commit()
            done = [(row, noop(row)) for row in rows]
            if cursor.execute(raw_sql.MYSQL_FINISH, (raw_sql.outcomes(done),)) != len(done):
                raise RuntimeError("a lease was lost")
            cursor.execute(raw_sql.MYSQL_TALLY, (QUEUE, len(done)))
            connection.commit()
            ledger.settle()
    sample = ledger.sample(meter)
    with connection.cursor() as cursor:
        ledger.verify(task.jobs, _count(cursor, raw_sql.UNFINISHED))
    connection.close()
    return sample


def save(task: Task, profiler: Profiler) -> Sample:
    """Save single jobs, one after the other."""
    return _save(task, profiler, 1)


def bulk(task: Task, profiler: Profiler) -> Sample:
    """Save jobs, `batch` in a call."""
    return _save(task, profiler, task.batch)


def _save(task: Task, profiler: Profiler, size: int) -> Sample:
    raw_sql.create_tables(task.url)
    connection = _connect(task.url, autocommit=True)
    with connection.cursor() as cursor:

        def insert(first: int) -> None:
            rows = [raw_sql.new_row(number) for number in range(first, first + size)]
            cursor.executemany(raw_sql.MYSQL_INSERT, rows)

        for number in range(WARM_UP // size):
            insert(number)
        before = _count(cursor, raw_sql.WAITING)
        meter = Meter(task.server_pid)
        meter.start()
        with profiler:
            for first in range(0, task.jobs, size):
                insert(first)
        sample = meter.sample(task.jobs)
        if _count(cursor, raw_sql.WAITING) - before != task.jobs:
            raise RuntimeError("not every job was saved")
    connection.close()
    return sample


def _connect(url: str, *, autocommit: bool) -> pymysql.Connection[Cursor]:
    made = sa.make_url(url)
    connection = pymysql.connect(
        host=made.host, port=made.port or 3306, user=made.username, database=made.database
    )
    with connection.cursor() as cursor:
        cursor.execute(raw_sql.MYSQL_SESSION, (autocommit,))
    return connection


def _count(cursor: Cursor, statement: str) -> int:
    cursor.execute(statement)
    row = cursor.fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    main({"drain": drain, "save": save, "bulk": bulk})
