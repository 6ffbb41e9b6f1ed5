"""What most tests do first: make, save, lease and finish jobs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from oqron_sql.contract import (
    AsyncStore,
    Complete,
    Fail,
    FetchOptions,
    Job,
    JobOptions,
    JobState,
    Outcome,
    Settled,
    new_job,
)
from oqron_sql.testing.harness import CALLERS, StoreHarness

QUEUE = "test-queue"
WORKER = "worker-1"
PAYLOAD = "planted-payload"  # in most jobs of the kit, to be recognised where it must not be
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
PAST = datetime(2024, 2, 29, 23, 59, 58, 123_000, tzinfo=UTC)

R = TypeVar("R")


def job(name: str = "job", data: Any = PAYLOAD, *, queue: str = QUEUE, **options: Any) -> Job:
    """Return an unsaved job; `options` are those of `JobOptions`."""
    return new_job(queue, name, data, JobOptions(**options))


def with_parent(parent: Job, *children: Job) -> list[Job]:
    """Link `children` to `parent`, which is to wait for them; return all, the parent last."""
    for child in children:
        child.parent_id, child.parent_queue_name = parent.id, parent.queue_name
    parent.state = JobState.WAITING_CHILDREN
    parent.pending_children_count = len(children)
    parent.children_ids = [child.id for child in children]
    return [*children, parent]


async def save(store: AsyncStore, *jobs: Job) -> list[str]:
    """Save `jobs` one after another; return their ids."""
    return [await store.save_job(each.queue_name, each) for each in jobs]


async def save_new(store: AsyncStore, *names: str, queue: str = QUEUE, **options: Any) -> list[Job]:
    """Save a job of each name, one after another; return them."""
    made = [job(name, queue=queue, **options) for name in names]
    await save(store, *made)
    return made


async def fetch(
    store: AsyncStore,
    worker: str = WORKER,
    lock: timedelta = MINUTE,
    *,
    queue: str = QUEUE,
    **options: Any,
) -> Job | None:
    """Fetch one job; `options` are those of `FetchOptions`."""
    return await store.fetch_next_job(queue, worker, lock, FetchOptions(**options))


async def take(
    store: AsyncStore,
    worker: str = WORKER,
    lock: timedelta = MINUTE,
    *,
    queue: str = QUEUE,
    **options: Any,
) -> Job:
    """Fetch one job, which must be there."""
    found = await fetch(store, worker, lock, queue=queue, **options)
    assert found is not None, "no job was handed out"
    return found


async def take_names(store: AsyncStore, n: int, **options: Any) -> list[str]:
    """Fetch `n` jobs one by one; return their names."""
    return [(await take(store, **options)).name for _ in range(n)]


async def read(store: AsyncStore, saved: Job) -> Job:
    """Return what is stored now of a job, which must be there."""
    found = await store.get_job(saved.queue_name, saved.id)
    assert found is not None, f"job {saved.id} is gone"
    return found


async def leased(store: AsyncStore, name: str = "job", **options: Any) -> Job:
    """Save a job and lease it; the queue must have been empty."""
    (made,) = await save_new(store, name, **options)
    found = await take(store, queue=made.queue_name)
    assert found.id == made.id, "another job was waiting"
    return found


async def finish(store: AsyncStore, outcome: Outcome) -> Settled:
    """Report one outcome."""
    (settled,) = await store.finish_jobs(outcome.job.queue_name, [outcome])
    return settled


async def completed(
    store: AsyncStore, name: str = "job", value: Any = PAYLOAD, **options: Any
) -> Job:
    """Save, lease and complete a job; return what is stored of it."""
    made = await leased(store, name, **options)
    assert (await finish(store, Complete(made, value))).state is JobState.COMPLETED
    return await read(store, made)


async def failed(store: AsyncStore, name: str = "job", reason: str = "boom", **options: Any) -> Job:
    """Save, lease and fail a job; return what is stored of it."""
    made = await leased(store, name, **options)
    assert (await finish(store, Fail(made, reason))).state is JobState.FAILED
    return await read(store, made)


async def now_of(store: AsyncStore) -> datetime:
    """Return the store's now, which is nobody else's."""
    probe = job(queue="what-time-is-it")
    await save(store, probe)
    created = (await read(store, probe)).created_at
    await store.remove_job(probe.queue_name, probe.id)
    assert created is not None
    return created


async def states(store: AsyncStore, jobs: Iterable[Job]) -> list[JobState | None]:
    """Return the state of each of `jobs`, None for one that is gone."""
    found = [await store.get_job(each.queue_name, each.id) for each in jobs]
    return [each.state if each else None for each in found]


async def contents(store: AsyncStore, queue: str = QUEUE) -> dict[JobState, list[Job]]:
    """Return everything in a queue, to see later whether it was changed."""
    return {state: await store.list_jobs(queue, state, 0, 10_000) for state in JobState}


async def callers(store: AsyncStore, harness: StoreHarness) -> list[AsyncStore]:
    """Return whom concurrent calls are made by: two instances in turn, where there can be two."""
    second = store if "shared_data" in harness.missing else await harness.another()
    return [store, second] * (CALLERS // 2)


async def together(calls: Iterable[Coroutine[Any, Any, R]]) -> list[R]:
    """Run `calls` at the same time; return what they returned."""
    return await asyncio.gather(*calls)


def as_saved(given: Job, found: Job) -> Job:
    """Return `given` with what the store adds to a job it saves."""
    return dataclasses.replace(
        given, seq=found.seq, created_at=given.created_at or found.created_at
    )
