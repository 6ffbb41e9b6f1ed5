"""Instants are exact, and none of them is the client's (W23)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest

from oqron_sql.contract import (
    AsyncStore,
    AttemptRecord,
    Complete,
    Deduplication,
    Job,
    JobState,
    JobUpdate,
    RateLimit,
    Retry,
    SearchFilter,
)
from oqron_sql.errors import NaiveDatetime
from oqron_sql.testing.harness import requires
from oqron_sql.testing.steps import (
    HOUR,
    MILLISECOND,
    MINUTE,
    PAST,
    QUEUE,
    SECOND,
    completed,
    contents,
    fetch,
    finish,
    job,
    leased,
    now_of,
    read,
    save,
    save_new,
    take,
)

INSTANTS = (
    "created_at",
    "processed_at",
    "completed_at",
    "failed_at",
    "cancelled_at",
    "delay_until",
    "lock_until",
)
EXACT = [
    PAST,  # 123 ms, before midnight of a leap day
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2024, 3, 31, 2, 30, 0, 1_000, tzinfo=UTC),  # an hour that Vienna does not have
    datetime(2038, 1, 19, 3, 14, 8, 999_000, tzinfo=UTC),  # past 32 bits
    datetime(2999, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC),
    datetime(2024, 6, 1, 12, 0, 0, 123_000, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    datetime(2024, 6, 1, 1, 0, 0, 7_000, tzinfo=timezone(timedelta(hours=-11))),
]
UPDATABLE = INSTANTS[1:]
NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001  # naive on purpose
skewed = pytest.mark.parametrize("skew", [HOUR, -HOUR], ids=["ahead", "behind"])


def all_instants(instant: datetime) -> JobUpdate:
    """Return an update of every instant there is."""
    return cast(JobUpdate, dict.fromkeys(UPDATABLE, instant))


@contextlib.contextmanager
def wrong_clock(skew: timedelta) -> Iterator[None]:
    """Let this process believe that it is some time earlier or later."""
    time_machine = pytest.importorskip("time_machine")
    with time_machine.travel(datetime.now(UTC) + skew, tick=True):
        yield


async def test_every_instant_is_exact(store: AsyncStore) -> None:
    cases = [(member, instant) for member in INSTANTS for instant in EXACT]
    made = [job(job_id=f"{member} {instant}") for member, instant in cases]
    for each, (member, instant) in zip(made, cases, strict=True):
        each.state, each.locked_by = JobState.ACTIVE, "worker"
        setattr(each, member, instant)
    await store.save_bulk(QUEUE, made)
    stored = {each.id: each for each in await store.list_jobs(QUEUE, JobState.ACTIVE)}
    for each, (member, instant) in zip(made, cases, strict=True):
        found = getattr(stored[each.id], member)
        assert found == instant, each.id
        assert found.utcoffset() is not None


async def test_every_updated_instant_is_exact(store: AsyncStore) -> None:
    made = await leased(store)
    for instant in EXACT:
        await store.update_job(QUEUE, made.id, all_instants(instant))
        found = await read(store, made)
        assert {getattr(found, member) for member in UPDATABLE} == {instant}


async def test_instants_of_attempts_are_exact(store: AsyncStore) -> None:
    made = job()
    made.attempt_logs = tuple(
        AttemptRecord(attempt=n, started_at=instant, ended_at=instant)
        for n, instant in enumerate(EXACT, 1)
    )
    await save(store, made)
    assert (await read(store, made)).attempt_logs == made.attempt_logs


async def test_searches_compare_instants_exactly(store: AsyncStore) -> None:
    made = job()
    made.created_at = PAST
    await save(store, made)
    for bound, total in ((PAST, 1), (PAST + MILLISECOND, 0)):
        assert (await store.search_jobs(SearchFilter(created_after=bound))).total == total
    for bound, total in ((PAST, 1), (PAST - MILLISECOND, 0)):
        assert (await store.search_jobs(SearchFilter(created_before=bound))).total == total


async def test_a_naive_instant_is_not_saved(store: AsyncStore) -> None:
    for member in INSTANTS:
        made = job()
        setattr(made, member, NAIVE)
        with pytest.raises(NaiveDatetime) as refused:
            await save(store, made)
        assert refused.value.value == NAIVE
        with pytest.raises(NaiveDatetime):
            await store.save_bulk(QUEUE, [job(), made])
    assert await store.list_queues() == []


async def test_no_instant_becomes_naive(store: AsyncStore) -> None:
    held = await leased(store)
    before = await contents(store)
    for member in UPDATABLE:
        updates = {"progress": 9, member: NAIVE}
        with pytest.raises(NaiveDatetime):
            await store.update_job(QUEUE, held.id, cast(JobUpdate, updates))
    assert await contents(store) == before


async def test_a_naive_bound_is_refused(store: AsyncStore) -> None:
    await save_new(store, "later", delay=MINUTE)
    with pytest.raises(NaiveDatetime):
        await store.promote_delayed_jobs(QUEUE, NAIVE)
    with pytest.raises(NaiveDatetime):
        await store.get_metrics(QUEUE, "minute", NAIVE, PAST)
    with pytest.raises(NaiveDatetime):
        await store.search_jobs(SearchFilter(created_after=NAIVE))
    assert await store.count_jobs(QUEUE, JobState.DELAYED) == 1


@skewed
@requires("server_clock")
async def test_a_wrong_clock_does_not_change_a_lock(store: AsyncStore, skew: timedelta) -> None:
    with wrong_clock(skew):
        made = await leased(store)
        assert await store.get_stalled_jobs(QUEUE) == []
    assert await store.get_stalled_jobs(QUEUE) == []
    assert await store.recover_lost(QUEUE) == []
    with wrong_clock(skew):
        assert await store.extend_lock(QUEUE, made.id, MINUTE, lease=made.lease)
        (told,) = await store.extend_locks(QUEUE, [made], MINUTE)
        assert await store.recover_lost(QUEUE) == []
    now = await now_of(store)
    assert told.lock_until is not None
    assert now < told.lock_until <= now + MINUTE


@skewed
@requires("server_clock")
async def test_a_wrong_clock_saves_no_jobs_from_recovery(
    store: AsyncStore, skew: timedelta
) -> None:
    made = await leased(store)
    await store.extend_lock(QUEUE, made.id, timedelta(0))
    start = await now_of(store)
    while await now_of(store) <= start + MILLISECOND:
        pass
    with wrong_clock(skew):
        assert [each.id for each in await store.get_stalled_jobs(QUEUE)] == [made.id]
        assert [each.job_id for each in await store.recover_lost(QUEUE)] == [made.id]


@skewed
@requires("server_clock")
async def test_a_wrong_clock_does_not_change_a_delay(store: AsyncStore, skew: timedelta) -> None:
    before = await now_of(store)
    with wrong_clock(skew):
        await save_new(store, "later", delay=MINUTE)
        assert await store.promote_delayed_jobs(QUEUE) == 0
        await save_new(store, "retried")
        await finish(store, Retry(await take(store), "boom", MINUTE))
        assert await store.promote_delayed_jobs(QUEUE) == 0
        await save_new(store, "due")
        updates: JobUpdate = {"state": JobState.DELAYED}
        await store.update_job(QUEUE, (await take(store)).id, updates)
        assert await store.promote_delayed_jobs(QUEUE) == 1
    after = await now_of(store)
    for each in await store.list_jobs(QUEUE, JobState.DELAYED):
        assert each.delay_until is not None
        assert before + MINUTE <= each.delay_until <= after + MINUTE


@skewed
@requires("server_clock")
async def test_a_wrong_clock_does_not_change_what_is_recorded(
    store: AsyncStore, skew: timedelta
) -> None:
    before = await now_of(store)
    with wrong_clock(skew):
        made = await leased(store)
        await store.cancel_job(QUEUE, made.id)
        await finish(store, Complete(made))
        await save_new(store, "ended-by-hand")
        by_hand = await take(store)
        await store.update_job(QUEUE, by_hand.id, {"state": JobState.FAILED})
        parent = job("parent")
        await save(store, parent)
        await store.fail_parent_on_child_failure(QUEUE, parent.id, "boom")
    after = await now_of(store)
    found = [await read(store, each) for each in (made, by_hand, parent)]
    instants = [getattr(each, member) for each in found for member in INSTANTS]
    assert len([each for each in instants if each is not None]) == 9
    assert all(before <= each <= after for each in instants if each is not None)
    records = [record for each in found for record in each.attempt_logs]
    assert all(r.ended_at is not None and before <= r.ended_at <= after for r in records)
    buckets = await store.get_metrics(QUEUE, "minute", before - MINUTE, after)
    assert sum(each.completed_count for each in buckets if each.job_name == "job") == 1


@requires("server_clock")
async def test_a_wrong_clock_does_not_change_a_rate(store: AsyncStore) -> None:
    limit = RateLimit(max=1, duration=MINUTE)
    await save_new(store, *"abc")
    with wrong_clock(-HOUR):
        assert await fetch(store, rate_limit=limit) is not None
    assert await fetch(store, rate_limit=limit) is None
    with wrong_clock(HOUR):
        assert await fetch(store, rate_limit=limit) is None


@skewed
@requires("server_clock")
async def test_a_wrong_clock_does_not_change_a_ttl(store: AsyncStore, skew: timedelta) -> None:
    def once(key: str) -> Job:
        return job(deduplication=Deduplication(key=key, ttl=MINUTE))

    first, over = once("held"), once("over")
    over.created_at = await now_of(store) - MINUTE - SECOND
    with wrong_clock(skew):
        await save(store, first, over)
        assert await save(store, once("held")) == [first.id]
        assert await store.find_by_deduplication_key(QUEUE, "over") is None
    assert await save(store, once("held")) == [first.id]


@skewed
@requires("server_clock")
async def test_a_wrong_clock_does_not_change_an_age(store: AsyncStore, skew: timedelta) -> None:
    await completed(store)
    old = job()
    old.state, old.completed_at = JobState.COMPLETED, await now_of(store) - MINUTE
    await save(store, old)
    with wrong_clock(skew):
        assert await store.clean(QUEUE, JobState.COMPLETED, 30 * SECOND) == 1


@requires("server_clock")
async def test_a_wrong_clock_deletes_no_metrics(store: AsyncStore) -> None:
    await completed(store)
    with wrong_clock(timedelta(days=100)):
        await store.aggregate_metrics()
    now = await now_of(store)
    assert await store.get_metrics(QUEUE, "minute", now - HOUR, now) != []
