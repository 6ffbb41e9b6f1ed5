"""Every method of a store, called once on a database in which each finds something to do."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from oqron_sql import Complete, Fail, FetchOptions, Job, JobOptions, JobState, Retry, new_job
from oqron_sql.contract import (
    Deduplication,
    Group,
    RateLimit,
    Repeat,
    Schedule,
    SearchFilter,
    Store,
)
from oqron_sql.testing.steps import PAYLOAD, with_parent

QUEUE, OTHER = "mail", "other"
MINUTE, INSTANT = timedelta(minutes=1), timedelta(milliseconds=1)
LONG_AGO, SOME_DAY = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclasses.dataclass
class Seed:
    """The jobs that are there."""

    waiting: Job
    keyed: Job
    grouped: Job
    delayed: Job
    active: Job
    lost: Job
    failed: Job
    completed: Job
    parent: Job
    child: Job


def job(name: str = "job", data: Any = PAYLOAD, **options: Any) -> Job:
    return new_job(QUEUE, name, data, JobOptions(**options))


def schedule(key: str) -> Schedule:
    return Schedule(queue_name=QUEUE, key=key, name="job", repeat=Repeat(every=MINUTE))


async def seed(store: Any) -> Seed:
    """Save a job of each sort."""

    async def leased(name: str, lock: timedelta) -> Job:
        await store.save_job(QUEUE, job(name))
        found: Job = await store.fetch_next_job(QUEUE, "me", lock, FetchOptions(job_name=name))
        assert found.name == name
        return found

    active, failed = await leased("active", MINUTE), await leased("failed", MINUTE)
    completed, lost = await leased("completed", MINUTE), await leased("lost", INSTANT)
    await store.finish_jobs(QUEUE, [Fail(failed, "it broke"), Complete(completed, "done")])
    parent, child = new_job(OTHER, "parent"), new_job(OTHER, "child")
    await store.save_flow(with_parent(parent, child))
    await store.pause_job_name(QUEUE, "paused")
    await store.put_schedule(QUEUE, schedule("there"))
    await store.put_schedule(QUEUE, dataclasses.replace(schedule("paused"), paused=True))
    waiting, keyed = job("waiting", {"find": "me"}), job("k", deduplication=Deduplication(key="k"))
    grouped, delayed = job("g", group=Group(id="g")), job("delayed", delay=INSTANT)
    await store.save_bulk(QUEUE, [waiting, keyed, grouped, delayed])
    return Seed(waiting, keyed, grouped, delayed, active, lost, failed, completed, parent, child)


Call = Callable[[Any, Seed], Awaitable[Any]]

READING: dict[str, Call] = {
    "get_job": lambda s, d: s.get_job(QUEUE, d.waiting.id),
    "find_job_by_id": lambda s, d: s.find_job_by_id(d.waiting.id),
    "find_by_deduplication_key": lambda s, _: s.find_by_deduplication_key(QUEUE, "k"),
    "get_stalled_jobs": lambda s, _: s.get_stalled_jobs(QUEUE),
    "get_active_count": lambda s, _: s.get_active_count(QUEUE),
    "count_jobs": lambda s, _: s.count_jobs(QUEUE, JobState.WAITING),
    "get_job_counts": lambda s, _: s.get_job_counts(QUEUE),
    "list_jobs": lambda s, _: s.list_jobs(QUEUE, JobState.WAITING),
    "list_queues": lambda s, _: s.list_queues(),
    "get_next_delayed_timestamp": lambda s, _: s.get_next_delayed_timestamp(QUEUE),
    "get_paused_job_names": lambda s, _: s.get_paused_job_names(QUEUE),
    "get_children_jobs": lambda s, d: s.get_children_jobs(OTHER, d.parent.id),
    "list_flow_parents": lambda s, _: s.list_flow_parents(),
    "get_group_active_count": lambda s, _: s.get_group_active_count(QUEUE, "g"),
    "get_waiting_group_count": lambda s, _: s.get_waiting_group_count(QUEUE, "g"),
    "search_by_payload": lambda s, _: s.search_by_payload(QUEUE, "me"),
    "search_by_name": lambda s, _: s.search_by_name("waiting"),
    "search_jobs": lambda s, _: s.search_jobs(SearchFilter(queue_name=QUEUE)),
    "get_metrics": lambda s, _: s.get_metrics(QUEUE, "hour", LONG_AGO, SOME_DAY),
    "aggregate_metrics": lambda s, _: s.aggregate_metrics(),  # none is old enough
    "remove_expired": lambda s, _: s.remove_expired(QUEUE),  # none either
    "get_outlook": lambda s, _: s.get_outlook(QUEUE),
    "check_locks": lambda s, d: s.check_locks(QUEUE, [d.active]),
    "get_schedule": lambda s, _: s.get_schedule(QUEUE, "there"),
    "list_schedules": lambda s, _: s.list_schedules(),
    "fire_schedules": lambda s, _: s.fire_schedules(QUEUE),  # none is due
}
FINDING_NOTHING = {
    "get_group_active_count",
    "aggregate_metrics",
    "remove_expired",
    "fire_schedules",
}

LIMITED = FetchOptions(
    group_concurrency=2, max_active=9, rate_limit=RateLimit(max=9, duration=MINUTE)
)
WRITING: dict[str, Call] = {
    "save_job": lambda s, _: s.save_job(QUEUE, job("new")),
    "save_bulk": lambda s, _: s.save_bulk(QUEUE, [job(f"n{n}") for n in range(3)]),
    "save_flow": lambda s, _: s.save_flow(with_parent(job("up"), job("down"))),
    "update_job": lambda s, d: s.update_job(QUEUE, d.active.id, {"state": JobState.COMPLETED}),
    "append_logs": lambda s, d: s.append_logs(QUEUE, d.active.id, ["so far"]),
    "remove_job": lambda s, d: s.remove_job(OTHER, d.child.id),
    "cancel_job": lambda s, d: s.cancel_job(QUEUE, d.active.id),
    "fetch_next_job": lambda s, _: s.fetch_next_job(QUEUE, "me", MINUTE),
    "fetch_jobs": lambda s, _: s.fetch_jobs(QUEUE, "me", MINUTE, 5, LIMITED),
    "extend_lock": lambda s, d: s.extend_lock(QUEUE, d.active.id, MINUTE, lease=1),
    "extend_locks": lambda s, d: s.extend_locks(QUEUE, [d.active], MINUTE * 2),
    "release_lock": lambda s, d: s.release_lock(QUEUE, d.active.id),
    "finish_jobs": lambda s, d: s.finish_jobs(QUEUE, [Complete(d.active), Retry(d.lost, "oh")]),
    "recover_lost": lambda s, _: s.recover_lost(QUEUE),
    "promote_delayed_jobs": lambda s, _: s.promote_delayed_jobs(QUEUE),
    "promote_jobs": lambda s, _: s.promote_jobs(QUEUE),
    "pause_job_name": lambda s, _: s.pause_job_name(QUEUE, "__all__"),
    "resume_job_name": lambda s, _: s.resume_job_name(QUEUE, "paused"),
    "put_schedule": lambda s, _: s.put_schedule(QUEUE, schedule("new")),
    "pause_schedule": lambda s, _: s.pause_schedule(QUEUE, "there"),
    "resume_schedule": lambda s, _: s.resume_schedule(QUEUE, "paused"),
    "remove_schedule": lambda s, _: s.remove_schedule(QUEUE, "there"),
    "clean": lambda s, _: s.clean(QUEUE, JobState.WAITING, timedelta(0)),
    "drain": lambda s, _: s.drain(QUEUE),
    "obliterate": lambda s, _: s.obliterate(OTHER),
    "retry_jobs": lambda s, _: s.retry_jobs(QUEUE, JobState.FAILED),
    "notify_child_completed": lambda s, d: s.notify_child_completed(OTHER, d.parent.id),
    "fail_parent_on_child_failure": (
        lambda s, d: s.fail_parent_on_child_failure(OTHER, d.parent.id, "it broke")
    ),
}
RETURNING_NOTHING = {
    "update_job", "append_logs", "remove_job", "release_lock", "pause_job_name", "resume_job_name",
    "drain", "obliterate",
}  # fmt: skip

METHODS = READING | WRITING
# These are no operations on the database.
OTHERS = {"connect", "disconnect", "subscribe", "unsubscribe", "has_subscribers", "publish"}


def declared() -> set[str]:
    """Return the names of the contract's methods."""
    return {
        name
        for name, member in inspect.getmembers(Store, inspect.isfunction)
        if not name.startswith("_")
    }


async def a_day(store: Any) -> None:
    """Do what queues, workers and operators do, and see that it was done."""
    seeded = await seed(store)
    found = await store.fetch_jobs(QUEUE, "me", MINUTE, 3, LIMITED)
    assert {one.name for one in found} == {"waiting", "k", "g"}
    assert not any(one.lost for one in await store.extend_locks(QUEUE, found, MINUTE))
    settled = await store.finish_jobs(QUEUE, [Complete(one, {"n": 1}) for one in found])
    assert not any(one.lost for one in settled)
    assert (await store.get_job(QUEUE, found[0].id)).returnvalue == {"n": 1}
    assert [one.job_id for one in await store.recover_lost(QUEUE)] == [seeded.lost.id]
    assert await store.promote_jobs(QUEUE) == 1
    assert await store.clean(QUEUE, JobState.FAILED, timedelta(0)) == 1
    await store.remove_job(OTHER, seeded.child.id)
    assert await store.count_jobs(OTHER, JobState.WAITING) == 1
    assert {queue.name for queue in await store.list_queues()} == {QUEUE, OTHER}
