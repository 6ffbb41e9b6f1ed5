"""What ended per minute and hour."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from oqron_sql.contract import AsyncStore, Complete, Fail, JobState, JobUpdate, MetricsBucket, Retry
from oqron_sql.contract.model import Granularity
from oqron_sql.errors import MetricsDisabled
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    PAST,
    QUEUE,
    SECOND,
    completed,
    failed,
    finish,
    job,
    leased,
    now_of,
    read,
    save,
    take,
)

GRANULARITIES: tuple[Granularity, ...] = ("minute", "hour")
LONG = timedelta(days=60)
grained = pytest.mark.parametrize("granularity", GRANULARITIES)


async def buckets(
    store: AsyncStore, granularity: Granularity = "minute", queue: str = QUEUE
) -> list[MetricsBucket]:
    """Return every bucket of the queue."""
    now = await now_of(store)
    return await store.get_metrics(queue, granularity, now - LONG, now + HOUR)


def sums(found: list[MetricsBucket]) -> Counter[tuple[str, str]]:
    """Return how many ended, by name and end, whatever the minute."""
    total: Counter[tuple[str, str]] = Counter()
    for each in found:
        total[each.job_name, "completed"] += each.completed_count
        total[each.job_name, "failed"] += each.failed_count
    return +total


@grained
async def test_nothing_ended_is_no_bucket(store: AsyncStore, granularity: Granularity) -> None:
    """[106]"""
    await leased(store)
    assert await buckets(store, granularity) == []


@grained
async def test_a_completed_job_is_counted(store: AsyncStore, granularity: Granularity) -> None:
    """[107] [109] Hours are there at once."""
    made = await completed(store, "mail")
    assert made.completed_at is not None
    found = await buckets(store, granularity)
    assert [each.job_name for each in found] == ["__all__", "mail"]
    start = made.completed_at.astimezone(UTC).replace(second=0, microsecond=0)
    if granularity == "hour":
        start = start.replace(minute=0)
    for each in found:
        assert (each.queue_name, each.granularity, each.period_start) == (
            QUEUE,
            granularity,
            start,
        )
        assert (each.completed_count, each.failed_count) == (1, 0)


@grained
async def test_a_failed_job_is_counted(store: AsyncStore, granularity: Granularity) -> None:
    """[108]"""
    await failed(store, "mail")
    found = await buckets(store, granularity)
    assert sums(found) == {("__all__", "failed"): 1, ("mail", "failed"): 1}


@requires("movable_clock")
async def test_the_time_from_lease_to_end_is_measured(
    store: AsyncStore, harness: StoreHarness
) -> None:
    for seconds in (10, 30, 20):
        made = await leased(store, "mail")
        await harness.advance(seconds * SECOND)
        await finish(store, Complete(made) if seconds != 20 else Fail(made, "boom"))
    for granularity in GRANULARITIES:
        found = [each for each in await buckets(store, granularity) if each.job_name == "mail"]
        total = sum(each.total_process_ms for each in found)
        low = min(each.min_process_ms for each in found if each.min_process_ms is not None)
        high = max(each.max_process_ms for each in found if each.max_process_ms is not None)
        assert 60_000 <= total < 75_000
        assert 10_000 <= low < 20_000
        assert 30_000 <= high < 40_000


async def test_an_end_that_is_given_is_measured(store: AsyncStore) -> None:
    for state, member in ((JobState.COMPLETED, "completed_at"), (JobState.FAILED, "failed_at")):
        made = await leased(store, str(state))
        assert made.processed_at is not None
        ended = made.processed_at + timedelta(seconds=7)
        updates = cast(JobUpdate, {"state": state, member: ended})
        await store.update_job(QUEUE, made.id, updates)
        for granularity in GRANULARITIES:
            found = await buckets(store, granularity)
            (bucket,) = [each for each in found if each.job_name == state]
            assert bucket.total_process_ms == 7_000
            assert (bucket.min_process_ms, bucket.max_process_ms) == (7_000, 7_000)


async def test_names_are_counted_apart(store: AsyncStore) -> None:
    await completed(store, "mail")
    await completed(store, "report")
    await failed(store, "mail")
    await completed(store, "mail", queue="elsewhere")
    expected = {
        ("__all__", "completed"): 2,
        ("__all__", "failed"): 1,
        ("mail", "completed"): 1,
        ("mail", "failed"): 1,
        ("report", "completed"): 1,
    }
    for granularity in GRANULARITIES:
        assert sums(await buckets(store, granularity)) == expected


@requires("movable_clock")
async def test_buckets_come_in_order(store: AsyncStore, harness: StoreHarness) -> None:
    for _ in range(3):
        await completed(store, "mail")
        await completed(store, "report")
        await harness.advance(HOUR)
    for granularity in GRANULARITIES:
        found = [(each.period_start, each.job_name) for each in await buckets(store, granularity)]
        assert found == sorted(found)
        assert len({start for start, _ in found}) >= 3


@requires("movable_clock")
async def test_both_bounds_belong_to_the_span(store: AsyncStore, harness: StoreHarness) -> None:
    for _ in range(3):
        await completed(store, "mail")
        await harness.advance(2 * MINUTE)
    starts = sorted({each.period_start for each in await buckets(store)})
    assert len(starts) == 3
    for first, last, expected in (
        (starts[0], starts[2], starts),
        (starts[1], starts[1], starts[1:2]),
        (starts[0] + SECOND, starts[2] - SECOND, starts[1:2]),
        (starts[2], starts[0], []),
    ):
        found = await store.get_metrics(QUEUE, "minute", first, last)
        assert sorted({each.period_start for each in found}) == expected


async def test_aggregating_again_adds_nothing(store: AsyncStore) -> None:
    """[109] W14: upstream's hours grow with every run."""
    await completed(store, "mail")
    before = {granularity: await buckets(store, granularity) for granularity in GRANULARITIES}
    for _ in range(3):
        await store.aggregate_metrics()
    after = {granularity: await buckets(store, granularity) for granularity in GRANULARITIES}
    assert after == before
    await completed(store, "mail")
    await store.aggregate_metrics()
    assert sums(await buckets(store, "hour"))["__all__", "completed"] == 2


async def test_an_end_that_is_told_twice_counts_once(store: AsyncStore) -> None:
    """W14"""
    made = await leased(store)
    for _ in range(2):
        await finish(store, Complete(made))
        await store.update_job(QUEUE, made.id, {"state": JobState.COMPLETED})
        await store.update_job(QUEUE, made.id, {"progress": 100})
    assert sums(await buckets(store))["__all__", "completed"] == 1


async def test_an_update_that_ends_a_job_counts(store: AsyncStore) -> None:
    for state in (JobState.COMPLETED, JobState.FAILED):
        made = await leased(store, "mail")
        await store.update_job(QUEUE, made.id, {"state": state})
    expected = dict.fromkeys(
        [(name, end) for name in ("__all__", "mail") for end in ("completed", "failed")], 1
    )
    assert sums(await buckets(store)) == expected


async def test_a_job_that_runs_again_counts_again(store: AsyncStore) -> None:
    made = await completed(store)
    await store.retry_jobs(QUEUE, JobState.COMPLETED)
    await finish(store, Complete(await take(store)))
    assert sums(await buckets(store))[made.name, "completed"] == 2


async def test_a_retry_is_no_end(store: AsyncStore) -> None:
    await finish(store, Retry(await leased(store), "boom"))
    assert await buckets(store) == []


@requires("movable_clock")
async def test_a_job_lost_for_good_counts(store: AsyncStore, harness: StoreHarness) -> None:
    await leased(store)
    await harness.advance(HOUR)
    await store.recover_lost(QUEUE, max_lost=0)
    assert sums(await buckets(store))["__all__", "failed"] == 1


async def test_a_job_that_never_began_is_not_measured(store: AsyncStore) -> None:
    made = job()
    await save(store, made)
    await store.update_job(QUEUE, made.id, {"state": JobState.COMPLETED})
    ended = job()
    ended.state, ended.processed_at, ended.completed_at = JobState.COMPLETED, PAST, PAST
    await save(store, ended)
    assert (await read(store, made)).completed_at is not None
    assert await buckets(store) == []


@requires("movable_clock")
async def test_old_buckets_are_deleted(store: AsyncStore, harness: StoreHarness) -> None:
    await completed(store, "old")
    await harness.advance(timedelta(hours=25))
    await completed(store, "young")
    assert {each.job_name for each in await buckets(store)} == {"__all__", "old", "young"}
    await store.aggregate_metrics()
    assert {each.job_name for each in await buckets(store)} == {"__all__", "young"}
    hours = {each.job_name for each in await buckets(store, "hour")}
    assert hours == {"__all__", "old", "young"}
    assert sums(await buckets(store, "hour"))["__all__", "completed"] == 2
    await harness.advance(timedelta(hours=720))
    await store.aggregate_metrics()
    assert await buckets(store, "hour") == []


async def test_metrics_have_to_be_on(store: AsyncStore, harness: StoreHarness) -> None:
    without = await harness.without_metrics()
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    with pytest.raises(MetricsDisabled):
        await without.get_metrics(QUEUE, "minute", start, end)
    with pytest.raises(MetricsDisabled):
        await without.aggregate_metrics()
    await completed(without, queue="silent")
