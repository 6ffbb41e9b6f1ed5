"""Jobs are saved, and run by the worker of the runtime."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

from oqron_sql import Context, FetchOptions, Job, JobOptions, Worker, new_job
from oqron_sql.contract import Backoff, Deduplication, Group, RateLimit
from tests.faults.acting import Spec, pause, persist, stopping, store_of
from tests.faults.recording import RecordedStore


class Failure(Exception):
    """What handlers raise when a job is to fail."""


async def enqueue(spec: Spec) -> None:
    """Save jobs one by one, and now and then a few at once, each until it is acknowledged."""
    store, rng = store_of(spec), random.Random(spec["seed"])
    with stopping() as told:
        if not await persist(told, store.connect):
            return
        for n in range(spec.get("jobs", 1_000_000)):
            if told.is_set():
                break
            size = 1 if rng.random() < 0.8 or spec.get("keys") else 5
            jobs = [make(spec, rng, n) for _ in range(size)]
            if rng.random() < spec.get("cancel", 0):
                await save_and_cancel(store, jobs, rng.uniform(0, 0.01))
            await persist(told, lambda: save(store, jobs))  # noqa: B023 - awaited at once
            await pause(told, rng.uniform(0, 2 * spec.get("pace", 0.02)))
        await store.disconnect()


async def save(store: RecordedStore, jobs: list[Job]) -> None:
    if len(jobs) == 1:
        await store.save_job(jobs[0].queue_name, jobs[0])
    else:
        await store.save_bulk(jobs[0].queue_name, jobs)


async def save_and_cancel(store: RecordedStore, jobs: list[Job], after: float) -> None:
    saving = asyncio.ensure_future(save(store, jobs))
    await asyncio.sleep(after)
    if saving.cancel():
        store.journal.write("cancelled")
    await asyncio.wait({saving})
    if not saving.cancelled():
        saving.exception()


def make(spec: Spec, rng: random.Random, n: int) -> Job:
    """Return a job as the spec wants it; some fail before they succeed."""
    queue = spec["queue"]
    fails = 0 if rng.random() < 0.9 or spec.get("plain") else rng.choice((1, 2, 3))
    group = f"group-{rng.randrange(spec['groups'])}" if spec.get("groups") else None
    key = f"key-{rng.randrange(spec['keys'])}" if spec.get("keys") else None
    opts = JobOptions(
        attempts=3,
        backoff=Backoff(delay=timedelta(seconds=0.02)),
        group=Group(id=group) if group else None,
        deduplication=Deduplication(key=key) if key else None,
    )
    data = {"n": n, "fails": fails, "home": f"{spec['prefix']}/{queue}"}
    if size := spec.get("size"):
        data["more"] = "x" * size
    return new_job(queue, "work", data, opts)


async def work(spec: Spec) -> None:
    """Run jobs by the worker of the runtime."""
    store, rng = store_of(spec), random.Random(spec["seed"])
    journal, doom = store.journal, RecordedStore.doom
    worker = Worker(
        spec["queue"],
        store,
        concurrency=spec.get("concurrency", 4),
        lease=spec.get("lease", 1.0),
        poll=0.1,
        prefetch=spec.get("prefetch", 10),
        max_lost=1000,
        limits=limits_of(spec),
        worker_id=spec.get("worker_id"),
    )

    @worker.handler()
    async def handle(context: Context[Any]) -> list[Any]:
        job = context.job
        journal.write("began", job=job.id, lease=job.lease, attempt=context.attempt)
        doom.pass_by("handler.before")
        await asyncio.sleep(rng.uniform(0, 2 * spec.get("seconds", 0.01)))
        if context.attempt <= job.data["fails"]:
            raise Failure("as it was told to")
        journal.write("ended", job=job.id, lease=job.lease)
        doom.pass_by("handler.after")
        return [job.id, job.lease]

    with stopping() as told:
        connected = await persist(told, store.connect)
    if not connected:
        return
    if not told.is_set():
        journal.write("working")
        await worker.run()
    await store.disconnect()
    journal.write("closed")


def limits_of(spec: Spec) -> FetchOptions:
    rate = spec.get("rate")
    return FetchOptions(
        group_concurrency=spec.get("group_cap"),
        max_active=spec.get("max_active"),
        rate_limit=RateLimit(max=rate[0], duration=timedelta(seconds=rate[1])) if rate else None,
    )
