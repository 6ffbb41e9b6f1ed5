"""Every operation that has to stay quick, however much lies around.

Each line says what is called, how many jobs that changes, how many rows it has to read besides,
and the indexes of the jobs it may go by; the primary key is always allowed. Below, a third of the
jobs is in one of a hundred groups, and a tenth has any one name.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from oqron_sql import Complete, Fail, FetchOptions, Job, JobOptions, JobState, Retry, SQLStore
from oqron_sql.contract import Group, RateLimit, Release
from oqron_sql.queries import delaying, maintenance
from tests.plans.load import (
    ACTIVE,
    BIG,
    DELAYED,
    FINISHED,
    GROUPS,
    KEPT,
    OTHERS,
    PARENTS,
    WAITING,
)

HOUR, MINUTES = timedelta(hours=1), timedelta(minutes=10)
LIVE = WAITING + ACTIVE + DELAYED + PARENTS
# Who is active, before ten groups are locked and after it, and once more if jobs without a group
# are new; and whose turn it is.
TURNS = 3 * (ACTIVE // 3 // GROUPS * 10) + len(OTHERS) * GROUPS // 2
Call = Callable[[SQLStore, Sequence[Job]], Any]


@dataclasses.dataclass(frozen=True)
class Operation:
    """A call of the store, and what it may cost."""

    name: str
    call: Call
    changes: int = 0
    reads: int = 0
    by: tuple[str, ...] = ()
    leased: int = 0  # jobs that are leased before, and given to the call
    paused: str | None = None  # what is paused meanwhile
    sorts: bool = False  # whether it may sort what it reads
    unknowing: int | None = None  # rows it may read besides if the statistics are wrong; None: any
    whole_on: tuple[str, ...] = ()  # databases on which it may read all of an index or a table

    @contextlib.contextmanager
    def ready(self, store: SQLStore) -> Iterator[Callable[[], object]]:
        """Prepare the call."""
        jobs = store.fetch_jobs(BIG, "worker", HOUR, self.leased)
        assert len(jobs) == self.leased
        if self.paused:
            store.pause_job_name(BIG, self.paused)
        try:
            yield lambda: self.call(store, jobs)
        finally:
            if self.paused:
                store.resume_job_name(BIG, self.paused)


def fetch(n: int, found: int | None = None, **options: Any) -> Call:
    def call(store: SQLStore, _: Sequence[Job]) -> None:
        jobs = store.fetch_jobs(BIG, "worker", HOUR, n, FetchOptions(**options))
        assert len(jobs) == (n if found is None else found)

    return call


def some(method: Callable[[SQLStore], Any]) -> Call:
    """Return the call of a method that must find something."""

    def call(store: SQLStore, _: Sequence[Job]) -> None:
        assert method(store), "there was nothing to do"

    return call


def complete(store: SQLStore, jobs: Sequence[Job]) -> None:
    settled = store.finish_jobs(BIG, [Complete(job, {"sent": True}) for job in jobs])
    assert not any(one.lost for one in settled)


def finish(store: SQLStore, jobs: Sequence[Job]) -> None:
    """End a quarter of the jobs in each way, whether the lease is held or not."""
    ways: list[Callable[[Job], Complete | Fail | Retry]] = [
        lambda job: Complete(job, "done"),
        lambda job: Fail(job, "it broke", "at line 1"),
        lambda job: Retry(job, "it broke"),
        lambda job: Retry(job, "it broke", HOUR),
    ]
    store.finish_jobs(BIG, [ways[i % 4](job) for i, job in enumerate(jobs)])


def lose_one_and_finish(store: SQLStore, jobs: Sequence[Job]) -> None:
    complete(store, jobs[:1])
    finish(store, jobs)


def release(store: SQLStore, jobs: Sequence[Job]) -> None:
    store.finish_jobs(BIG, [Release(job) for job in jobs])


def finish_as_newest(store: SQLStore, jobs: Sequence[Job]) -> None:
    """End jobs that are kept as some of the newest, which displaces as many."""
    kept = JobOptions(remove_on_complete=KEPT)
    complete(store, [dataclasses.replace(job, opts=kept) for job in jobs])


def save_and_cancel(store: SQLStore) -> bool:
    return store.cancel_job(BIG, store.save_job(BIG, new()), unstarted=True)


def roomy() -> Job:
    """Return a job of a group in which many may wait."""
    group = Group(id="group-3", max_size=9999)
    return new(group_id=group.id, opts=JobOptions(group=group))


def new(**members: Any) -> Job:
    return Job(name="name-1", queue_name=BIG, data={"to": "somebody"}, **members)


def in_state(method: str, state: str, *args: Any, **options: Any) -> Call:
    return some(lambda s: getattr(s, method)(BIG, JobState(state), *args, **options))


O = Operation  # noqa: E741 - the table below is read in columns
LEASE: dict[str, Any] = {"changes": 1, "leased": 1, "by": ("id",), "unknowing": 0}
TAKEN = "key-40005"

OPERATIONS = (
    # -- a worker's ----------------------------------------------------------------------------
    O("fetch 1", fetch(1), 1, 0, ("fetch",), unknowing=0),
    O("fetch 50", fetch(50), 50, 0, ("fetch",), unknowing=0),
    O("fetch 50 of a name", fetch(50, job_name="name-3"), 50, 1000, ("fetch",), unknowing=0),
    O("fetch 50, a name paused", fetch(50), 50, 10, ("fetch",), paused="name-1", unknowing=0),
    O("fetch 50, all paused", fetch(50, 0), 0, 0, ("fetch",), paused="__all__", unknowing=0),
    O("fetch 50, newest first", fetch(50, lifo=True), 50, 0, ("fetch",), unknowing=0),
    O("fetch 10 by turns", fetch(10, group_concurrency=900), 10, TURNS, ("group", "busy", "fetch"),
      unknowing=ACTIVE),
    O("fetch 10 but of groups", fetch(10, exclude_groups=["group-1", "group-2"]), 10, TURNS,
      ("group", "fetch"), unknowing=ACTIVE),
    O("fetch 10 by turns, newest", fetch(10, group_concurrency=900, lifo=True), 10, TURNS,
      ("group", "busy", "fetch"), unknowing=ACTIVE),
    O("fetch 10, at a rate", fetch(10, rate_limit=RateLimit(max=999, duration=HOUR)), 10, 10,
      ("fetch",), unknowing=0),
    O("fetch 10, so many active", fetch(10, max_active=9999), 10, ACTIVE + 2000,
      ("fetch", "lock", "live"), unknowing=0),
    O("finish 1", complete, 1, leased=1, unknowing=0),
    O("finish 50", complete, 50, leased=50, unknowing=0),
    # Of a table that it takes for small, PostgreSQL reads all rather than 500 by their key.
    O("finish 500", complete, 500, leased=500),
    O("finish 50 in all ways", finish, 50, leased=50, unknowing=0),
    O("finish 50, one lost", lose_one_and_finish, 100, leased=50, unknowing=0),
    O("release 50", release, 50, leased=50, unknowing=0),
    # A job that ends displaces one, and each of the newest is looked at.
    O("finish 50, kept as newest", finish_as_newest, 150, 3 * KEPT, leased=50),
    O("check_locks 50", lambda s, j: s.check_locks(BIG, j), 0, 150, leased=50, unknowing=0),
    O("get_outlook", some(lambda s: s.get_outlook(BIG).waiting), 0, 10,
      ("fetch", "delay", "lock", "due"), unknowing=0),
    O("extend_lock", lambda s, j: s.extend_lock(BIG, j[0].id, HOUR, lease=j[0].lease), **LEASE),
    O("extend_lock unfenced", lambda s, j: s.extend_lock(BIG, j[0].id, HOUR), **LEASE),
    O("release_lock", lambda s, j: s.release_lock(BIG, j[0].id, lease=j[0].lease), **LEASE),
    O("extend_locks 50", lambda s, j: s.extend_locks(BIG, j, HOUR), 50, leased=50, unknowing=0),
    O("extend_locks 500", lambda s, j: s.extend_locks(BIG, j, HOUR), 500, leased=500),
    O("append_logs", lambda s, j: s.append_logs(BIG, j[0].id, ["a"], lease=j[0].lease), **LEASE),
    O("update_job", lambda s, j: s.update_job(BIG, j[0].id, {"progress": 5}), **LEASE),
    O("update_job, its state",
      lambda s, j: s.update_job(BIG, j[0].id, {"state": JobState.COMPLETED}), **LEASE),
    O("recover_lost 50", some(lambda s: s.recover_lost(BIG, limit=50)), 50, 0, ("lock",),
      unknowing=0),
    O("recover_lost 50 for good", some(lambda s: s.recover_lost(BIG, limit=50, max_lost=0)), 50, 0,
      ("lock",), unknowing=0),
    O("get_stalled_jobs 50", some(lambda s: s.get_stalled_jobs(BIG, limit=50)), 0, 50, ("lock",),
      unknowing=0),
    O("promote 50 that are due", some(lambda s: s.promote_delayed_jobs(BIG, limit=50)), 50, 0,
      ("delay",), unknowing=0),
    O("remove 50 that expired", some(lambda s: s.remove_expired(BIG, limit=50)), 100, 0, ("due",)),
    O("fire 50", some(lambda s: s.fire_schedules(BIG, limit=50)), 100, 0, ("due",), unknowing=0),
    O("get_next_delayed_timestamp", some(lambda s: s.get_next_delayed_timestamp(BIG)), 0, 1,
      ("delay",), unknowing=0),
    # -- a producer's --------------------------------------------------------------------------
    O("save_job", lambda s, _: s.save_job(BIG, new()), 1),
    O("save_job with a key", lambda s, _: s.save_job(BIG, new(deduplication_key=new().id)), 1),
    O("save_job with a taken key", lambda s, _: s.save_job(BIG, new(deduplication_key=TAKEN)), 1,
      5, ("id", "slot"), unknowing=0),
    O("save_job in a group", lambda s, _: s.save_job(BIG, new(group_id="group-1")), 1),
    O("save_job in a group with room", lambda s, _: s.save_job(BIG, roomy()), 1,
      WAITING // 3 // GROUPS + 50, ("group", "id"), unknowing=6 * GROUPS),
    O("save_bulk 100", lambda s, _: s.save_bulk(BIG, [new() for _ in range(100)]), 100),
    O("save_bulk 100 with a taken key",
      lambda s, _: s.save_bulk(BIG, [new(deduplication_key=TAKEN) for _ in range(100)]), 100, 100,
      ("id", "slot")),
    O("find_by_deduplication_key", some(lambda s: s.find_by_deduplication_key(BIG, TAKEN)), 0, 1,
      ("slot",), unknowing=0),
    O("get_job", some(lambda s: s.get_job(BIG, "completed-9999")), 0, 1, ("id",), unknowing=0),
    O("find_job_by_id", some(lambda s: s.find_job_by_id("completed-9999")), 0, 1, ("id",),
      unknowing=0),
    O("cancel_job", lambda s, j: s.cancel_job(BIG, j[0].id), **LEASE),
    O("save_job and cancel it", some(save_and_cancel), 2, 0, ("id",), unknowing=0),
    O("remove_job", lambda s, j: s.remove_job(BIG, j[0].id), **LEASE),
    O("notify_child_completed",
      lambda s, _: s.notify_child_completed(BIG, "parent-100", child_id="completed-100"), 2,
      FINISHED // PARENTS, ("id", "parent"), unknowing=0),
    O("get_children_jobs", some(lambda s: s.get_children_jobs(BIG, "parent-50")), 0,
      FINISHED // PARENTS, ("parent",), sorts=True, unknowing=0),
    # -- an operator's -------------------------------------------------------------------------
    O("list waiting", in_state("list_jobs", "waiting"), 0, 100, ("live",)),
    O("list delayed", in_state("list_jobs", "delayed"), 0, 100 + 200, ("live",)),
    O("list waiting-children", in_state("list_jobs", "waiting-children"), 0, 100, ("live",)),
    # As many as run at a time; an index in this order would cost each fetch an entry.
    O("list active", in_state("list_jobs", "active"), 0, ACTIVE + 2000, ("lock", "live"),
      sorts=True),
    O("list completed", in_state("list_jobs", "completed"), 0, 100 + 200, ("completed",)),
    O("list failed", in_state("list_jobs", "failed"), 0, 100 + 200, ("failed",)),
    O("clean 50 waiting", in_state("clean", "waiting", MINUTES, limit=50), 50, 0, ("live",),
      unknowing=0),
    O("clean 50 completed", in_state("clean", "completed", MINUTES, limit=50), 50, 10,
      ("completed", "id"), unknowing=0),
    O("clean 50 failed", in_state("clean", "failed", MINUTES, limit=50), 50, 100, ("failed", "id")),
    O("drain 50", some(lambda s: s.run(lambda tx: maintenance.drain_step(tx, BIG, limit=50))), 50,
      0, ("live", "id"), unknowing=0),
    O("promote 50", some(lambda s: s.run(lambda tx: delaying.promote_step(tx, BIG, limit=50))), 50,
      0, ("delay",), unknowing=0),
    O("retry 50 completed", some(lambda s: s.run(
        lambda tx: maintenance.retry_step(tx, BIG, JobState.COMPLETED, limit=50))), 50, 50,
      ("completed", "slot")),
    O("retry 50 failed", some(lambda s: s.run(
        lambda tx: maintenance.retry_step(tx, BIG, JobState.FAILED, limit=50))), 50, 150,
      ("failed", "slot")),
    O("count completed", in_state("count_jobs", "completed"), 0, 20),
    O("count failed", in_state("count_jobs", "failed"), 0, 20),
    O("count waiting", in_state("count_jobs", "waiting"), 0, WAITING, ("live", "fetch", "group")),
    O("get_job_counts", some(lambda s: s.get_job_counts(BIG)), 0, LIVE + 5000,
      ("live", "fetch", "group", "lock", "delay")),
    O("get_active_count", some(lambda s: s.get_active_count(BIG)), 0, ACTIVE + 2000,
      ("lock", "live", "fetch", "busy")),
    O("get_group_active_count", some(lambda s: s.get_group_active_count(BIG, "group-3")), 0, 50,
      ("busy", "group"), unknowing=0),
    O("get_waiting_group_count", some(lambda s: s.get_waiting_group_count(BIG, "group-3")), 0,
      WAITING // 3 // GROUPS + 50, ("group",), unknowing=0),
    O("get_paused_job_names", some(lambda s: s.get_paused_job_names(BIG)), 0, 2, paused="name-1"),
    # All that is live: SQLite scans partial indexes, PostgreSQL the table if much of it is.
    O("list_queues", some(lambda s: s.list_queues()), 0, LIVE + 10_000,
      ("live", "lock", "fetch", "completed", "failed", "due"), sorts=True,
      whole_on=("sqlite", "postgresql")),
)  # fmt: skip
