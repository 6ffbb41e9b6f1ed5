"""Huey on SQLite with its defaults (WAL, synchronous FULL), one worker thread."""

from __future__ import annotations

import logging
import threading

import sqlalchemy as sa
from huey import SqliteHuey

from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Profiler, main
from benchmarks.workload import QUEUE, WARM_UP


def drain(task: Task, profiler: Profiler) -> Sample:
    """Work off `jobs` jobs in its own consumer's worker thread."""
    ledger, meter, done = Ledger(), Meter(task.server_pid), threading.Event()
    huey = _huey(task)

    @huey.task()  # type: ignore[untyped-decorator]  # huey has no types
    def noop(number: int) -> None:
        ledger.record(number)
        if len(ledger.ids) == task.jobs:
            done.set()

    for number in range(task.jobs):
        noop(number)
    logging.disable(logging.INFO)
    consumer = huey.create_consumer(workers=1, worker_type="thread", periodic=False)
    worker = consumer._create_worker()
    meter.start()
    with profiler:  # in this thread, which is then the worker's
        while not done.is_set():
            worker.loop()
    sample = ledger.sample(meter)
    ledger.verify(task.jobs, huey.storage.queue_size())
    return sample


def save(task: Task, profiler: Profiler) -> Sample:
    """Save single jobs, one after the other."""
    huey = _huey(task)

    @huey.task()  # type: ignore[untyped-decorator]  # huey has no types
    def noop(number: int) -> None:
        """Do nothing."""

    for number in range(WARM_UP):
        noop(number)
    meter = Meter(task.server_pid)
    meter.start()
    with profiler:
        for number in range(task.jobs):
            noop(number)
    sample = meter.sample(task.jobs)
    if huey.storage.queue_size() != task.jobs + WARM_UP:
        raise RuntimeError("not every job was saved")
    return sample


def _huey(task: Task) -> SqliteHuey:
    huey = SqliteHuey(QUEUE, filename=sa.make_url(task.url).database)
    level = huey.storage.conn.execute("PRAGMA synchronous").fetchone()[0]
    if level != 2:
        raise RuntimeError(f"synchronous is {level}, not FULL: this would not be a fair peer")
    return huey


if __name__ == "__main__":
    main({"drain": drain, "save": save})
