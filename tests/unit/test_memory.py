"""What is special about the store in memory; what every store does is in the conformance kit."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import pytest

from oqron_sql.contract import (
    Clock,
    Complete,
    EventType,
    FetchOptions,
    Job,
    JobOptions,
    JobState,
    RateLimit,
    StoreEvent,
    new_job,
)
from oqron_sql.contract.options import ANY, Deduplication, Group
from oqron_sql.errors import InvalidInput, PayloadTooLarge
from oqron_sql.memory import AsyncMemoryStore, MemoryData, MemoryStore

QUEUE = "queue"
MINUTE = timedelta(minutes=1)
CALLERS = 8
JOBS = 200

T = TypeVar("T")


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads be switched so often that a missing lock is noticed."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def add(store: MemoryStore, count: int = 1, opts: JobOptions | None = None) -> list[str]:
    made = [new_job(QUEUE, "job", i, opts or JobOptions()) for i in range(count)]
    return store.save_bulk(QUEUE, made)


def fetch_all(store: MemoryStore, opts: FetchOptions = ANY) -> list[Job]:
    """Fetch one by one until there is none."""
    return list(iter(lambda: store.fetch_next_job(QUEUE, "worker", MINUTE, opts), None))


def together(call: Callable[[], T]) -> list[T]:
    """Make one call in many threads that start at once."""
    start = threading.Barrier(CALLERS)

    def run(_: int) -> T:
        start.wait(timeout=30)
        return call()

    with ThreadPoolExecutor(CALLERS) as threads:
        return list(threads.map(run, range(CALLERS)))


async def test_stores_given_the_same_data_share_their_jobs() -> None:
    data = MemoryData()
    blocking, awaiting = MemoryStore(data), AsyncMemoryStore(data)
    first = new_job(QUEUE, "first")
    blocking.save_job(QUEUE, first)
    await awaiting.save_job(QUEUE, new_job(QUEUE, "second"))
    leased = await awaiting.fetch_next_job(QUEUE, "worker", MINUTE)
    assert leased is not None
    assert leased.id == first.id
    assert blocking.get_job_counts(QUEUE) == await awaiting.get_job_counts(QUEUE)
    assert blocking.get_active_count(QUEUE) == 1


def test_stores_of_their_own_share_nothing() -> None:
    one, other = MemoryStore(), MemoryStore()
    add(one)
    assert other.list_queues() == []


def test_jobs_outlive_a_store_and_subscribers_do_not() -> None:
    store = MemoryStore()
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    (job_id,) = add(store)
    store.disconnect()
    store.publish(StoreEvent(type=EventType.JOB_WAITING, queue_name=QUEUE))
    assert seen == []
    assert store.get_job(QUEUE, job_id) is not None
    assert MemoryStore(store.data).get_job(QUEUE, job_id) is not None


def test_each_store_has_its_own_clock() -> None:
    data, late = MemoryData(), Clock()
    store, ahead = MemoryStore(data), MemoryStore(data, clock=late)
    add(store)
    store.fetch_next_job(QUEUE, "worker", MINUTE)
    late.advance(2 * MINUTE)
    assert store.get_stalled_jobs(QUEUE) == []
    assert len(ahead.get_stalled_jobs(QUEUE)) == 1


def test_the_limit_of_payloads_can_be_chosen() -> None:
    store = MemoryStore(max_payload=5)
    store.save_job(QUEUE, new_job(QUEUE, "fits", "abc"))
    with pytest.raises(PayloadTooLarge):
        store.save_job(QUEUE, new_job(QUEUE, "too long", "abcd"))


def test_a_delay_beyond_the_calendar_keeps_the_whole_bulk_out() -> None:
    store = MemoryStore()
    endless = new_job(QUEUE, "endless", None, JobOptions(delay=timedelta.max))
    with pytest.raises(InvalidInput, match="delay"):
        store.save_bulk(QUEUE, [new_job(QUEUE, "good"), endless])
    assert store.list_queues() == []


def test_looking_at_a_queue_does_not_make_it() -> None:
    store = MemoryStore()
    store.get_job(QUEUE, "unknown")
    store.resume_job_name(QUEUE, "name")
    store.fetch_next_job(
        QUEUE, "worker", MINUTE, FetchOptions(rate_limit=RateLimit(max=1, duration=MINUTE))
    )
    assert store.data.queues == {}


def test_events_are_told_when_others_can_use_the_store() -> None:
    store = MemoryStore()
    (job_id,) = add(store)
    store.fetch_next_job(QUEUE, "worker", MINUTE)
    seen: list[Job | None] = []
    with ThreadPoolExecutor(1) as elsewhere:

        def look(event: StoreEvent) -> None:
            seen.append(elsewhere.submit(store.get_job, QUEUE, job_id).result(timeout=10))

        store.subscribe(QUEUE, look)
        assert store.cancel_job(QUEUE, job_id)
    assert [job and job.cancelled_at is not None for job in seen] == [True]


@pytest.mark.usefixtures("eager_threads")
def test_no_two_threads_lease_one_job() -> None:
    store = MemoryStore()
    ids = add(store, JOBS)
    leased = [job.id for jobs in together(lambda: fetch_all(store)) for job in jobs]
    assert sorted(leased) == sorted(ids)


@pytest.mark.usefixtures("eager_threads")
def test_threads_that_save_the_same_keys_make_one_job_each() -> None:
    store = MemoryStore()
    options = [JobOptions(deduplication=Deduplication(key=f"key-{i}")) for i in range(JOBS)]
    saved = together(lambda: [store.save_job(QUEUE, new_job(QUEUE, "job", 1, o)) for o in options])
    assert len({tuple(ids) for ids in saved}) == 1
    assert store.count_jobs(QUEUE, JobState.WAITING) == JOBS


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize(
    "opts",
    [
        FetchOptions(rate_limit=RateLimit(max=25, duration=MINUTE)),
        FetchOptions(group_concurrency=25),
        FetchOptions(max_active=25),
    ],
    ids=["rate limit", "group cap", "queue cap"],
)
def test_threads_keep_to_a_limit_together(opts: FetchOptions) -> None:
    store = MemoryStore()
    add(store, JOBS, JobOptions(group=Group(id="group")))
    assert sum(map(len, together(lambda: fetch_all(store, opts)))) == 25


@pytest.mark.usefixtures("eager_threads")
def test_threads_that_finish_children_release_the_parent_once() -> None:
    store = MemoryStore()
    parent = new_job("parents", "parent")
    children = [new_job(QUEUE, "child") for _ in range(JOBS)]
    for child in children:
        child.parent_id, child.parent_queue_name = parent.id, parent.queue_name
    parent.state, parent.pending_children_count = JobState.WAITING_CHILDREN, JOBS
    store.save_flow([*children, parent])

    def work() -> None:
        for job in fetch_all(store):
            store.finish_jobs(QUEUE, [Complete(job)])

    together(work)
    found = store.get_job("parents", parent.id)
    assert found is not None
    assert (found.state, found.pending_children_count) == (JobState.WAITING, 0)


def test_it_needs_no_sqlalchemy() -> None:
    code = (
        "import sys; from oqron_sql.memory import MemoryStore; MemoryStore().list_queues(); "
        "print([name for name in ('sqlalchemy', 'alembic') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
