"""Taking jobs back from workers that died."""

from __future__ import annotations

from datetime import timedelta

from oqron_sql.contract import (
    AsyncStore,
    Complete,
    Deduplication,
    Job,
    JobState,
    Recovered,
    StoreEvent,
)
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MILLISECOND,
    MINUTE,
    QUEUE,
    SECOND,
    WORKER,
    contents,
    finish,
    job,
    leased,
    now_of,
    read,
    save,
    save_new,
    take,
    take_names,
)


async def test_an_expired_lock_is_stalled(store: AsyncStore) -> None:
    """[15] without waiting: the lock ends when it begins."""
    made = await leased(store)
    await store.extend_lock(QUEUE, made.id, timedelta(0))
    start = await now_of(store)
    while await now_of(store) <= start + MILLISECOND:
        pass
    assert [each.id for each in await store.get_stalled_jobs(QUEUE)] == [made.id]
    assert await store.get_stalled_jobs("elsewhere") == []


async def test_a_running_lock_is_not_stalled(store: AsyncStore) -> None:
    """[16]"""
    await leased(store)
    assert await store.get_stalled_jobs(QUEUE) == []
    assert await store.recover_lost(QUEUE) == []


@requires("movable_clock")
async def test_stalled_jobs_are_listed_oldest_lock_first(
    store: AsyncStore, harness: StoreHarness
) -> None:
    for lock in (3, 1, 2):
        await save_new(store, str(lock))
        await take(store, lock=lock * MINUTE)
    await save_new(store, "alive", "waiting")
    await take(store, lock=2 * HOUR)
    await harness.advance(HOUR)
    names = [each.name for each in await store.get_stalled_jobs(QUEUE)]
    assert names == ["1", "2", "3"]
    assert [each.name for each in await store.get_stalled_jobs(QUEUE, HOUR)] == names
    assert [each.name for each in await store.get_stalled_jobs(QUEUE, limit=2)] == ["1", "2"]


@requires("movable_clock")
async def test_a_lost_job_waits_again_in_its_old_place(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """W5"""
    await save_new(store, "first", "second")
    made = await take(store, "worker-that-died")
    await harness.advance(MINUTE + SECOND)
    assert await store.recover_lost(QUEUE) == [
        Recovered(made.id, QUEUE, JobState.WAITING, 1, 1, "worker-that-died")
    ]
    found = await read(store, made)
    assert (found.state, found.lost_count, found.attempts_made) == (JobState.WAITING, 1, 0)
    assert (found.locked_by, found.lock_until, found.seq) == (None, None, made.seq)
    assert await store.recover_lost(QUEUE) == []
    assert await take_names(store, 2) == ["first", "second"]
    assert (await read(store, made)).lease == 2


@requires("movable_clock")
async def test_a_job_that_kills_its_workers_ends(store: AsyncStore, harness: StoreHarness) -> None:
    (made,) = await save_new(store, "poison", attempts=1)
    for lost in (1, 2, 3):
        await take(store)
        await harness.advance(HOUR)
        (told,) = await store.recover_lost(QUEUE, max_lost=2)
        assert (told.job_id, told.lost_count, told.lease) == (made.id, lost, lost)
        assert told.state is (JobState.WAITING if lost < 3 else JobState.FAILED)
    found = await read(store, made)
    assert (found.state, found.failed_reason) == (JobState.FAILED, "worker lost 3 times")
    assert (found.attempts_made, found.lost_count) == (0, 3)
    assert (found.locked_by, found.lock_until) == (None, None)
    assert found.failed_at is not None
    now = await now_of(store)
    assert now - MINUTE < found.failed_at <= now


@requires("movable_clock")
async def test_three_losses_are_forgiven_by_default(
    store: AsyncStore, harness: StoreHarness
) -> None:
    await save_new(store, "job")
    ends = []
    for _ in range(4):
        await take(store)
        await harness.advance(HOUR)
        ends += [each.state for each in await store.recover_lost(QUEUE)]
    assert ends == [JobState.WAITING] * 3 + [JobState.FAILED]


@requires("movable_clock")
async def test_the_oldest_locks_are_recovered_first(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """W27"""
    locks: dict[str, timedelta] = {"a": 3 * MINUTE, "b": 1 * MINUTE, "c": 2 * MINUTE}
    await save_new(store, *locks)
    for name, lock in locks.items():
        assert (await take(store, lock=lock)).name == name
    await harness.advance(HOUR)
    names = {each.id: each.name for each in await store.get_stalled_jobs(QUEUE)}
    recovered = await store.recover_lost(QUEUE, limit=2)
    assert sorted(names[each.job_id] for each in recovered) == ["b", "c"]
    assert [names[each.job_id] for each in await store.recover_lost(QUEUE)] == ["a"]


@requires("movable_clock")
async def test_an_extended_lock_is_not_lost(store: AsyncStore, harness: StoreHarness) -> None:
    made = await leased(store)
    await harness.advance(50 * SECOND)
    assert await store.extend_lock(QUEUE, made.id, MINUTE, lease=made.lease)
    await harness.advance(50 * SECOND)
    assert await store.recover_lost(QUEUE) == []
    await harness.advance(11 * SECOND)
    assert len(await store.recover_lost(QUEUE)) == 1


@requires("movable_clock")
async def test_only_the_asked_queue_is_swept(store: AsyncStore, harness: StoreHarness) -> None:
    await leased(store, queue="elsewhere")
    await harness.advance(HOUR)
    assert await store.recover_lost(QUEUE) == []
    assert len(await store.recover_lost("elsewhere")) == 1


@requires("movable_clock")
async def test_a_late_worker_that_is_faster_than_the_sweep_wins(
    store: AsyncStore, harness: StoreHarness
) -> None:
    made = await leased(store)
    await harness.advance(HOUR)
    assert (await finish(store, Complete(made))).state is JobState.COMPLETED
    assert await store.recover_lost(QUEUE) == []
    assert (await read(store, made)).lost_count == 0


@requires("movable_clock")
async def test_a_job_lost_for_good_frees_its_key(store: AsyncStore, harness: StoreHarness) -> None:
    def once() -> Job:
        return job(deduplication=Deduplication(key="once"))

    await save(store, once())
    made = await take(store)
    await harness.advance(HOUR)
    await store.recover_lost(QUEUE)
    assert await save(store, once()) == [made.id]
    await take(store)
    await harness.advance(HOUR)
    await store.recover_lost(QUEUE, max_lost=1)
    fresh = once()
    assert await save(store, fresh) == [fresh.id]


@requires("movable_clock")
async def test_a_cancelled_job_is_recovered_too(store: AsyncStore, harness: StoreHarness) -> None:
    made = await leased(store)
    await store.cancel_job(QUEUE, made.id)
    await harness.advance(HOUR)
    assert [each.job_id for each in await store.recover_lost(QUEUE)] == [made.id]


@requires("movable_clock")
async def test_recovering_publishes_nothing(store: AsyncStore, harness: StoreHarness) -> None:
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    await leased(store)
    await harness.advance(HOUR)
    await store.recover_lost(QUEUE, max_lost=0)
    assert (await contents(store))[JobState.FAILED][0].locked_by != WORKER
    assert seen == []
