"""SQLStore in a plain loop: fetch a batch, handle each, finish them."""

from __future__ import annotations

from datetime import timedelta

from benchmarks.measure import Ledger, Meter
from benchmarks.plan import Sample, Task
from benchmarks.side import Profiler, main
from benchmarks.tidy import settle_database
from benchmarks.workload import BULK, QUEUE, WARM_UP, payload
from oqron_sql import SQLStore
from oqron_sql.contract import Complete, Job, JobState, new_worker_id

LOCK = timedelta(seconds=30)


def drain(task: Task, profiler: Profiler) -> Sample:
    """Work off `jobs` jobs."""
    ledger, meter, worker = Ledger(), Meter(task.server_pid), new_worker_id()
    store = SQLStore(task.url)
    store.connect()
    _save_bulk(store, 0, task.jobs)
    settle_database(task.url)

    def noop(job: Job) -> object:
        ledger.record(job.id)
        return None

    meter.start()
    with profiler:
        while jobs := store.fetch_jobs(QUEUE, worker, LOCK, task.batch):
            settled = store.finish_jobs(QUEUE, [Complete(job, noop(job)) for job in jobs])
            ledger.settle()
            if any(outcome.lost for outcome in settled):
                raise RuntimeError("a lease was lost")
    sample = ledger.sample(meter)
    ledger.verify(task.jobs, task.jobs - store.count_jobs(QUEUE, JobState.COMPLETED))
    store.disconnect()
    return sample


def save(task: Task, profiler: Profiler) -> Sample:
    """Save single jobs, one after the other."""
    store = SQLStore(task.url)
    store.connect()
    for number in range(WARM_UP):
        store.save_job(QUEUE, _job(number))
    settle_database(task.url)
    meter = Meter(task.server_pid)
    meter.start()
    with profiler:
        for number in range(task.jobs):
            store.save_job(QUEUE, _job(number))
    sample = meter.sample(task.jobs)
    _verify(store, task.jobs + WARM_UP)
    return sample


def bulk(task: Task, profiler: Profiler) -> Sample:
    """Save jobs, `batch` in a call."""
    store = SQLStore(task.url)
    store.connect()
    _save_bulk(store, 0, task.batch, task.batch)
    settle_database(task.url)
    meter = Meter(task.server_pid)
    meter.start()
    with profiler:
        _save_bulk(store, task.batch, task.batch + task.jobs, task.batch)
    sample = meter.sample(task.jobs)
    _verify(store, task.jobs + task.batch)
    return sample


def _job(number: int) -> Job:
    return Job(name="noop", queue_name=QUEUE, data=payload(number))


def _save_bulk(store: SQLStore, start: int, end: int, size: int = BULK) -> None:
    for first in range(start, end, size):
        numbers = range(first, min(first + size, end))
        store.save_bulk(QUEUE, [_job(number) for number in numbers])


def _verify(store: SQLStore, jobs: int) -> None:
    found = store.count_jobs(QUEUE, JobState.WAITING)
    store.disconnect()
    if found != jobs:
        raise RuntimeError(f"{jobs} jobs saved, {found} found")


if __name__ == "__main__":
    main({"drain": drain, "save": save, "bulk": bulk})
