"""The queue: what it saves and refuses, and what it does with the jobs it has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oqron_sql import AsyncMemoryStore, AsyncStore, Complete, Fail, JobOptions, JobState, Queue
from oqron_sql.contract import (
    Backoff,
    Deduplication,
    EventType,
    Group,
    Repeat,
    StoreEvent,
    hash_payload,
)
from oqron_sql.errors import GroupFull, InvalidInput, InvalidJobState, InvalidName, QueueActive
from oqron_sql.runtime import FlowJob, FlowProducer
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.faults import Faulty
from tests.runtime.steps import HOUR, MINUTE, QUEUE, queue_of

WAITING, DELAYED, FAILED = JobState.WAITING, JobState.DELAYED, JobState.FAILED


async def test_a_job_is_what_was_asked_for(store: AsyncStore) -> None:
    queue = Queue(QUEUE, store, JobOptions(attempts=7, delay=HOUR))
    job = await queue.add("welcome", {"to": "ada"}, timeout="90 s", group="ada", delay=None)
    found = await job.get()
    assert found is not None
    assert (found.name, found.data, found.state) == ("welcome", {"to": "ada"}, WAITING)
    expected = JobOptions(attempts=7, timeout=timedelta(seconds=90), group=Group(id="ada"))
    assert (found.opts, found.group_id) == (expected, "ada")
    own = JobOptions(attempts=2, backoff=Backoff(delay=MINUTE))
    found = await (await queue.add("welcome", None, own, priority=5)).get()
    assert found is not None
    assert found.opts == JobOptions(attempts=2, backoff=Backoff(delay=MINUTE), priority=5)
    kept = await (await queue.now("welcome", remove_on_complete="1 day", remove_on_fail=9)).get()
    assert kept is not None
    assert (kept.opts.remove_on_complete, kept.opts.remove_on_fail) == (timedelta(days=1), 9)
    assert (repr(queue), repr(job)) == ("<Queue 'mail'>", f"<job {job.id!r} of 'mail'>")


@pytest.mark.parametrize("delay", [HOUR, 3600, "60 minutes", "in 1 hour"])
async def test_a_delay_counts_from_now(store: AsyncStore, delay: Any) -> None:
    queue = queue_of(store)
    for job in (
        await queue.schedule(delay, "later"),
        await queue.add("later", PAYLOAD, delay=delay),
    ):
        found = await job.get()
        assert found is not None
        assert found.state is DELAYED
        assert found.delay_until is not None
        assert found.created_at is not None
        assert abs(found.delay_until - found.created_at - HOUR) < timedelta(seconds=1)


async def test_what_cannot_be_is_refused_before_anything_is_written(store: AsyncStore) -> None:
    queue = queue_of(store)
    unheard_of: Any = {"retries": 3}
    instant: Any = datetime(2030, 1, 1, tzinfo=UTC)
    bad: list[tuple[type[Exception], Callable[[], Any]]] = [
        (InvalidInput, lambda: queue.schedule("soon", "job")),
        (InvalidInput, lambda: queue.schedule(-1, "job")),
        (InvalidInput, lambda: queue.schedule(instant, "job")),
        (InvalidInput, lambda: queue.add("job", PAYLOAD, delay=instant)),
        (InvalidInput, lambda: queue.add("job", PAYLOAD, attempts=0)),
        (InvalidInput, lambda: queue.add("job", {1, 2})),
        (InvalidName, lambda: queue.add("")),
        (InvalidInput, lambda: queue.add_bulk([("good", 1), ("bad", {1, 2})])),
        (TypeError, lambda: queue.add("job", **unheard_of)),
    ]
    for error, call in bad:
        with pytest.raises(error):
            await call()
    assert await store.list_queues() == []


@pytest.mark.parametrize(
    ("opts", "said"),
    [
        (JobOptions(repeat=Repeat(every=HOUR)), r"use every\(\) or cron\(\) of the queue"),
        (JobOptions(lifo=True), r"limits=FetchOptions\(lifo=True\)"),
    ],
)
async def test_what_nobody_acts_on_is_refused(opts: JobOptions, said: str) -> None:
    """Stores keep these options for others, and a job that has one would silently run as any."""
    store = AsyncMemoryStore()
    queue = queue_of(store)
    calls: list[Callable[[], Any]] = [
        lambda: queue.add("job", opts=opts),
        lambda: queue.add("job", opts=opts, attempts=3),
        lambda: queue.add_bulk([("job", None, opts)]),
        lambda: Queue(QUEUE, store, opts).add_bulk([("job", None)]),
        lambda: queue.every(HOUR, "job", opts=opts),
        lambda: FlowProducer(store).add(FlowJob(QUEUE, "job", opts=opts)),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match=said):
            await call()
    assert await store.list_queues() == []
    with pytest.raises(InvalidName):
        Queue("", store)


async def test_an_add_is_one_call_and_so_is_a_bulk(store: AsyncStore) -> None:
    faulty = Faulty(store)
    queue = queue_of(faulty)
    await queue.add("job", deduplication="key")
    assert faulty.calls == {"save_job": 1}
    jobs = await queue.add_bulk([("job", n) for n in range(2000)], attempts=3)
    assert faulty.calls == {"save_job": 1, "save_bulk": 1}
    assert len({job.id for job in jobs}) == 2000
    assert (await queue.counts())[WAITING] == 2001


async def test_one_live_job_per_key_or_payload(store: AsyncStore, harness: StoreHarness) -> None:
    queue = queue_of(store)
    by_hash = Deduplication(hash=True, ttl=MINUTE)
    first = await queue.add("job", {"b": 1, "a": 2}, deduplication=by_hash)
    again = await queue.add("job", {"a": 2, "b": 1}, deduplication=by_hash)
    other = await queue.add("job", {"a": 3}, deduplication=by_hash)
    assert first.id == again.id != other.id
    assert await store.find_by_deduplication_key(QUEUE, hash_payload({"a": 3})) is not None
    await harness.advance(MINUTE + timedelta(seconds=1))
    assert (await queue.add("job", {"a": 3}, deduplication=by_hash)).id != other.id
    keyed = [await queue.add("job", n, deduplication="once") for n in range(2)]
    assert keyed[0].id == keyed[1].id
    assert (await queue.add("job", PAYLOAD, job_id=keyed[0].id)).id == keyed[0].id


async def test_a_full_group_is_told(store: AsyncStore) -> None:
    queue, group = queue_of(store), Group(id="ada", max_size=1)
    await queue.add("job", PAYLOAD, group=group)
    with pytest.raises(GroupFull, match="'ada' of queue 'mail' is full"):
        await queue.add("job", PAYLOAD, group=group)
    with pytest.raises(GroupFull):
        await queue.add_bulk([("job", 1), ("job", 2, JobOptions(group=group))])
    assert (await queue.counts())[WAITING] == 1


async def test_ended_jobs_are_retried_and_delayed_ones_promoted(store: AsyncStore) -> None:
    queue = queue_of(store)
    jobs = await queue.add_bulk([("job", n) for n in range(4)])
    leased = await store.fetch_jobs(QUEUE, "worker", HOUR, 4)
    await store.finish_jobs(QUEUE, [Fail(job, "boom", "trace") for job in leased[:3]])
    await store.finish_jobs(QUEUE, [Complete(leased[3], "done")])
    for number, expected in ((0, FAILED), (3, JobState.COMPLETED)):
        found = await jobs[number].get()
        assert found is not None
        assert found.state is expected
        await store.update_job(QUEUE, found.id, {"lost_count": 2})
        assert await queue.retry(jobs[number].id) == 1
        found = await queue.get(jobs[number].id)
        assert found is not None
        assert (found.state, found.attempts_made, found.returnvalue) == (WAITING, 0, None)
        assert found.lost_count == 0
        assert (found.failed_reason, found.stacktrace, found.completed_at) == (None, (), None)
    assert await queue.retry() == 2
    with pytest.raises(InvalidJobState, match="'waiting', expected 'completed' or 'failed'"):
        await queue.retry(jobs[0].id)
    late = [await queue.schedule(HOUR, "job") for _ in range(3)]
    assert await queue.promote(late[0].id) == 1
    assert await queue.promote() == 2
    with pytest.raises(InvalidJobState):
        await queue.promote("unknown")
    assert (await queue.counts())[WAITING] == 7


async def test_the_whole_queue(store: AsyncStore) -> None:
    queue = queue_of(store)
    first, *rest = await queue.add_bulk([("job", n) for n in range(5)])
    assert [job.data for job in await queue.list(WAITING, 1, 3)] == [1, 2]
    await queue.remove(rest[-1].id)
    await queue.remove("unknown")
    assert await rest[-1].get() is None
    assert await queue.clean(WAITING, "1 hour") == 0
    await queue.pause("job")
    await queue.pause()
    assert await queue.paused() == ["__all__", "job"]
    await queue.resume("job")
    await queue.resume()
    (active,) = await store.fetch_jobs(QUEUE, "worker", HOUR, 1)
    assert active.id == first.id
    await queue.drain()
    assert {state: n for state, n in (await queue.counts()).items() if n} == {JobState.ACTIVE: 1}
    with pytest.raises(QueueActive):
        await queue.obliterate()
    await queue.obliterate(force=True)
    assert await store.list_queues() == []


async def test_what_is_done_is_told_in_the_process(store: AsyncStore) -> None:
    queue, told = queue_of(store), []

    def hear(event: StoreEvent) -> None:
        told.append((event.type, event.job_id))

    await queue.add("job", PAYLOAD)  # of which nobody hears
    store.subscribe(QUEUE, hear)
    job, late = await queue.add("job", PAYLOAD), await queue.schedule(HOUR, "job")
    double = await queue.add("job", PAYLOAD, job_id=job.id)
    await queue.promote(late.id)
    await queue.pause("job")
    await queue.resume()
    await queue.drain()
    assert told == [
        (EventType.JOB_WAITING, job.id),
        (EventType.JOB_DELAYED, late.id),
        (EventType.JOB_WAITING, double.id),
        (EventType.JOB_WAITING, late.id),
        (EventType.QUEUE_PAUSED, None),
        (EventType.QUEUE_RESUMED, None),
        (EventType.QUEUE_DRAINED, None),
    ]


async def test_what_cannot_be_told_is_done_all_the_same(
    store: AsyncStore, caplog: pytest.LogCaptureFixture
) -> None:
    faulty = Faulty(store)
    faulty.broken = {"publish"}
    store.subscribe(QUEUE, print)
    queue = queue_of(faulty)
    await queue.add("job", PAYLOAD)
    await queue.drain()
    assert "could not tell of job:waiting" in caplog.text
