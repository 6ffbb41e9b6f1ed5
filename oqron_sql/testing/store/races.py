"""Many callers at once: nothing is handed out twice, nothing is lost, no limit is passed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

from oqron_sql.contract import (
    AsyncStore,
    Complete,
    Deduplication,
    FetchOptions,
    Group,
    Job,
    JobState,
    RateLimit,
)
from oqron_sql.errors import InvalidJobState
from oqron_sql.testing.harness import CALLERS, StoreHarness
from oqron_sql.testing.steps import (
    MINUTE,
    PAST,
    QUEUE,
    callers,
    finish,
    job,
    leased,
    read,
    save,
    save_new,
    together,
)

ROUNDS = 20


async def fetch_all(
    stores: list[AsyncStore], opts: FetchOptions, n: int = 1, tries: int = 8
) -> list[Job]:
    """Let every caller fetch so often, all at the same time; return what they got."""

    async def worker(number: int, store: AsyncStore) -> list[Job]:
        found: list[Job] = []
        for _ in range(tries):
            found += await store.fetch_jobs(QUEUE, f"worker-{number}", MINUTE, n, opts)
        return found

    got = await together(worker(number, store) for number, store in enumerate(stores))
    return [each for part in got for each in part]


def assert_once(jobs: list[Job]) -> None:
    """Assert that no job was handed out twice."""
    doubles = {id_: n for id_, n in Counter(each.id for each in jobs).items() if n > 1}
    assert not doubles, f"{len(doubles)} of {len(jobs)} leases were of jobs leased before"
    assert {each.lease for each in jobs} <= {1}


async def test_saves_of_one_key_make_one_job(store: AsyncStore, harness: StoreHarness) -> None:
    """W1: upstream's PostgreSQL store makes one job per caller."""
    stores = await callers(store, harness)
    for round_number in range(ROUNDS):
        key = Deduplication(key=f"key-{round_number}")
        ids = await together(each.save_job(QUEUE, job(deduplication=key)) for each in stores)
        assert len(set(ids)) == 1, f"round {round_number} made {len(set(ids))} jobs"
    assert await store.count_jobs(QUEUE, JobState.WAITING) == ROUNDS


async def test_saves_of_a_key_that_ends_make_one_job(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """W1: the key is freed and taken again; never is it held twice."""
    stores = await callers(store, harness)
    for _ in range(5):
        made = await leased(store, deduplication=Deduplication(key="key"))
        saves = [
            each.save_job(QUEUE, job(deduplication=Deduplication(key="key"))) for each in stores[1:]
        ]
        ids, _ = await asyncio.gather(together(saves), finish(stores[0], Complete(made)))
        assert len(set(ids) - {made.id}) <= 1
        holder = await store.find_by_deduplication_key(QUEUE, "key")
        assert (holder.id if holder else made.id) in ids
        await store.drain(QUEUE)


async def test_saves_of_one_id_make_one_job(store: AsyncStore, harness: StoreHarness) -> None:
    """W20"""
    stores = await callers(store, harness)
    for n in range(5):
        ids = await together(each.save_job(QUEUE, job(job_id=f"id-{n}")) for each in stores)
        assert set(ids) == {f"id-{n}"}
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 5
    assert_once(await fetch_all(stores, FetchOptions(), tries=2))


async def test_bulks_of_the_same_keys_agree(store: AsyncStore, harness: StoreHarness) -> None:
    """In opposite orders, so that careless locks would wait for each other."""
    stores = await callers(store, harness)
    keys = [f"key-{n}" for n in range(10)]

    async def bulk(number: int, caller: AsyncStore) -> dict[str, str]:
        order = keys if number % 2 else keys[::-1]
        jobs = [job(deduplication=Deduplication(key=key)) for key in order]
        return dict(zip(order, await caller.save_bulk(QUEUE, jobs), strict=True))

    for _ in range(3):
        told = await together(bulk(number, each) for number, each in enumerate(stores))
        assert all(each == told[0] for each in told)
        assert await store.count_jobs(QUEUE, JobState.WAITING) == len(keys)
        await store.drain(QUEUE)


@pytest.mark.parametrize("n", [1, 3])
async def test_each_job_is_handed_out_once(
    store: AsyncStore, harness: StoreHarness, n: int
) -> None:
    stores = await callers(store, harness)
    await store.save_bulk(QUEUE, [job() for _ in range(40)])
    found = await fetch_all(stores, FetchOptions(), n)
    found += await store.fetch_jobs(QUEUE, "last", MINUTE, 40)
    assert_once(found)
    assert len(found) == 40


async def test_each_grouped_job_is_handed_out_once(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """W2: upstream's PostgreSQL store hands one job to many."""
    stores = await callers(store, harness)
    await store.save_bulk(QUEUE, [job(group=Group(id=f"g{n % 5}")) for n in range(40)])
    opts = FetchOptions(group_concurrency=10)
    found = await fetch_all(stores, opts, tries=6)
    found += await store.fetch_jobs(QUEUE, "last", MINUTE, 40, opts)
    assert_once(found)
    assert len(found) == 40


@pytest.mark.parametrize("n", [1, 3])
async def test_no_group_passes_its_cap(store: AsyncStore, harness: StoreHarness, n: int) -> None:
    """W2"""
    stores = await callers(store, harness)
    await store.save_bulk(QUEUE, [job(group=Group(id=f"g{n % 4}")) for n in range(32)])
    opts = FetchOptions(group_concurrency=2)
    found = await fetch_all(stores, opts, n, tries=3)
    found += await store.fetch_jobs(QUEUE, "last", MINUTE, 40, opts)
    assert_once(found)
    assert Counter(each.group_id for each in found) == {f"g{n}": 2 for n in range(4)}


@pytest.mark.parametrize("n", [1, 3])
async def test_no_rate_is_passed(store: AsyncStore, harness: StoreHarness, n: int) -> None:
    """W18"""
    stores = await callers(store, harness)
    await store.save_bulk(QUEUE, [job() for _ in range(30)])
    opts = FetchOptions(rate_limit=RateLimit(max=7, duration=MINUTE * 60))
    found = await fetch_all(stores, opts, n, tries=3)
    found += await store.fetch_jobs(QUEUE, "last", MINUTE, 40, opts)
    assert_once(found)
    assert len(found) == 7


@pytest.mark.parametrize("n", [1, 3])
async def test_no_bound_on_a_queue_is_passed(
    store: AsyncStore, harness: StoreHarness, n: int
) -> None:
    """W17: upstream counts first and leases later."""
    stores = await callers(store, harness)
    await store.save_bulk(QUEUE, [job() for _ in range(30)])
    opts = FetchOptions(max_active=5)
    found = await fetch_all(stores, opts, n, tries=3)
    found += await store.fetch_jobs(QUEUE, "last", MINUTE, 40, opts)
    assert_once(found)
    assert len(found) == 5


async def test_one_of_many_conditional_updates_wins(
    store: AsyncStore, harness: StoreHarness
) -> None:
    stores = await callers(store, harness)
    (made,) = await save_new(store, "job")

    async def move(number: int, caller: AsyncStore) -> int:
        try:
            await caller.update_job(
                QUEUE,
                made.id,
                {"state": JobState.FAILED, "failed_reason": str(number)},
                expected_state=JobState.WAITING,
            )
        except InvalidJobState:
            return -1
        return number

    told = await together(move(number, each) for number, each in enumerate(stores))
    (winner,) = [each for each in told if each >= 0]
    assert (await read(store, made)).failed_reason == str(winner)


async def test_no_log_line_is_lost(store: AsyncStore, harness: StoreHarness) -> None:
    """W19: upstream reads, changes and writes the whole list."""
    stores = await callers(store, harness)
    made = await leased(store)

    async def write(number: int, caller: AsyncStore) -> None:
        for n in range(5):
            await caller.append_logs(QUEUE, made.id, [f"{number}-{n}"], lease=made.lease)

    await together(write(number, each) for number, each in enumerate(stores))
    lines = (await read(store, made)).logs
    assert sorted(lines) == sorted(f"{c}-{n}" for c in range(CALLERS) for n in range(5))
    for caller in range(CALLERS):
        own = [line for line in lines if line.startswith(f"{caller}-")]
        assert own == [f"{caller}-{n}" for n in range(5)]


async def test_cancelling_and_finishing_agree(store: AsyncStore, harness: StoreHarness) -> None:
    stores = await callers(store, harness)
    for _ in range(5):
        made = await leased(store)
        cancelled, settled = await asyncio.gather(
            stores[1].cancel_job(QUEUE, made.id), finish(stores[0], Complete(made))
        )
        found = await read(store, made)
        assert (settled.state, found.state) == (JobState.COMPLETED, JobState.COMPLETED)
        assert (found.cancelled_at is not None) is cancelled


@pytest.mark.parametrize("what", ["promote_jobs", "clean", "retry_jobs"])
async def test_maintenance_counts_each_job_once(
    store: AsyncStore, harness: StoreHarness, what: str
) -> None:
    """W26 W27"""
    stores = await callers(store, harness)
    bulk = [job() for _ in range(40)]
    for each in bulk:
        each.state = JobState.DELAYED if what == "promote_jobs" else JobState.FAILED
        each.failed_at = each.delay_until = PAST
    await store.save_bulk(QUEUE, bulk)

    def call(caller: AsyncStore) -> Coroutine[Any, Any, int]:
        match what:
            case "promote_jobs":
                return caller.promote_jobs(QUEUE)
            case "clean":
                return caller.clean(QUEUE, JobState.FAILED, MINUTE)
        return caller.retry_jobs(QUEUE, JobState.FAILED)

    assert sum(await together(call(each) for each in stores)) == 40
    left = 0 if what == "clean" else 40
    assert await store.count_jobs(QUEUE, JobState.WAITING) == left


async def test_a_worker_s_life_times_eight(store: AsyncStore, harness: StoreHarness) -> None:
    """Saving, fetching and finishing at once: every job ends once, and is counted."""
    stores = await callers(store, harness)
    accepted: Counter[str] = Counter()

    async def live(number: int, caller: AsyncStore) -> None:
        for n in range(4):
            await save(caller, *(job(f"{number}-{n}-{i}") for i in range(2)))
            held = await caller.fetch_jobs(QUEUE, f"worker-{number}", MINUTE, 3)
            told = await caller.finish_jobs(QUEUE, [Complete(each) for each in held])
            accepted.update(each.job_id for each in told if not each.lost)

    await together(live(number, each) for number, each in enumerate(stores))
    total = CALLERS * 4 * 2
    rest = await store.fetch_jobs(QUEUE, "last", MINUTE, total)
    await store.finish_jobs(QUEUE, [Complete(each) for each in rest])
    accepted.update(each.id for each in rest)
    assert len(accepted) == total
    assert set(accepted.values()) == {1}
    assert (await store.get_job_counts(QUEUE))[JobState.COMPLETED] == total
