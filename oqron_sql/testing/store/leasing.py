"""Handing out jobs, in which order, and how long they stay locked."""

from __future__ import annotations

from datetime import timedelta

from oqron_sql.contract import (
    AsyncStore,
    FetchOptions,
    Job,
    JobState,
    Retry,
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
    fetch,
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


def span_of(found: Job) -> timedelta:
    """Return how long the lock was made for."""
    assert found.lock_until is not None
    assert found.processed_at is not None
    return found.lock_until - found.processed_at


async def test_a_fetched_job_is_leased(store: AsyncStore) -> None:
    """[6]"""
    (made,) = await save_new(store, "job")
    before = await now_of(store)
    found = await take(store, WORKER, MINUTE)
    assert (found.id, found.state, found.locked_by) == (made.id, JobState.ACTIVE, WORKER)
    assert (found.lease, found.attempts_made, found.attempt_logs) == (1, 0, ())
    assert found.processed_at is not None
    assert before <= found.processed_at <= await now_of(store)
    assert abs(span_of(found) - MINUTE) <= MILLISECOND
    assert found == await read(store, made)
    assert await fetch(store) is None


async def test_the_oldest_comes_first(store: AsyncStore) -> None:
    """[7]"""
    await save_new(store, *"abc")
    assert await take_names(store, 3) == ["a", "b", "c"]


async def test_the_order_is_that_of_insertion(store: AsyncStore) -> None:
    now = await now_of(store)
    later, sooner = job("saved-first"), job("saved-last")
    later.created_at, sooner.created_at = now + HOUR, now - HOUR
    await save(store, later, sooner)
    assert await take_names(store, 2) == ["saved-first", "saved-last"]


async def test_lifo_gives_the_newest(store: AsyncStore) -> None:
    """[8]"""
    await save_new(store, *"abc")
    assert await take_names(store, 2, lifo=True) == ["c", "b"]


async def test_the_lowest_priority_comes_first(store: AsyncStore) -> None:
    """[9]"""
    for name, priority in (("ten", 10), ("one", 1), ("none", 0), ("minus", -5), ("again", 1)):
        await save(store, job(name, priority=priority))
    assert await take_names(store, 2, lifo=True) == ["minus", "none"]
    assert await take_names(store, 3) == ["one", "again", "ten"]


async def test_lifo_is_within_a_priority(store: AsyncStore) -> None:
    for name, priority in (("a", 1), ("b", 1), ("c", 2)):
        await save(store, job(name, priority=priority))
    assert await take_names(store, 3, lifo=True) == ["b", "a", "c"]


async def test_a_job_s_own_lifo_is_not_looked_at(store: AsyncStore) -> None:
    await save_new(store, *"abc", lifo=True)
    assert await take_names(store, 1) == ["a"]


async def test_extreme_priorities_are_kept(store: AsyncStore) -> None:
    for name, priority in (("last", 2**31 - 1), ("first", -(2**31)), ("middle", 0)):
        await save(store, job(name, priority=priority))
    assert await take_names(store, 3) == ["first", "middle", "last"]


async def test_several_jobs_are_fetched_in_order(store: AsyncStore) -> None:
    await save_new(store, *"abcde")
    await save(store, job("urgent", priority=-1))
    found = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 4)
    assert [each.name for each in found] == ["urgent", "a", "b", "c"]
    assert {(each.state, each.locked_by, each.lease) for each in found} == {
        (JobState.ACTIVE, WORKER, 1)
    }
    assert found == [await read(store, each) for each in found]
    rest = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 4, FetchOptions(lifo=True))
    assert [each.name for each in rest] == ["e", "d"]
    assert await store.fetch_jobs(QUEUE, WORKER, MINUTE, 4) == []


async def test_only_the_asked_name_is_fetched(store: AsyncStore) -> None:
    await save_new(store, "a", "b", "a")
    assert await take_names(store, 1, job_name="b") == ["b"]
    assert await fetch(store, job_name="b") is None
    assert await take_names(store, 2) == ["a", "a"]


async def test_only_the_asked_queue_is_fetched(store: AsyncStore) -> None:
    await save_new(store, "there", queue="elsewhere")
    assert await fetch(store) is None
    assert (await take(store, queue="elsewhere")).name == "there"


async def test_only_waiting_jobs_are_fetched(store: AsyncStore) -> None:
    """[10] [48]"""
    for state in JobState:
        if state is not JobState.WAITING:
            other = job(state)
            other.state = state
            await save(store, other)
    assert await fetch(store) is None
    await save_new(store, "child")
    assert await take_names(store, 1) == ["child"]
    assert await fetch(store) is None


async def test_active_jobs_are_counted(store: AsyncStore) -> None:
    """[14]"""
    await save_new(store, "a", "b")
    for expected in (0, 1, 2):
        assert await store.get_active_count(QUEUE) == expected
        await fetch(store)
    assert await store.get_active_count("elsewhere") == 0


async def test_each_lease_has_the_next_number(store: AsyncStore) -> None:
    first = await leased(store)
    await finish(store, Retry(first, "again"))
    second = await take(store, "worker-2")
    assert (second.id, second.lease, second.locked_by) == (first.id, 2, "worker-2")
    await store.update_job(QUEUE, second.id, {"state": JobState.WAITING})
    assert (await take(store)).lease == 3


async def test_fetching_publishes_nothing(store: AsyncStore) -> None:
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    await leased(store)
    assert seen == []


async def test_an_active_lock_is_extended(store: AsyncStore) -> None:
    """[22]"""
    made = await leased(store)
    before = await now_of(store)
    assert await store.extend_lock(QUEUE, made.id, HOUR) is True
    assert await store.extend_lock(QUEUE, made.id, HOUR, lease=made.lease) is True
    found = await read(store, made)
    assert found.lock_until is not None
    assert before + HOUR <= found.lock_until <= await now_of(store) + HOUR
    assert (found.locked_by, found.lease) == (WORKER, made.lease)


async def test_a_lock_can_be_made_shorter(store: AsyncStore) -> None:
    made = await leased(store)
    assert await store.extend_lock(QUEUE, made.id, SECOND)
    found = await read(store, made)
    assert found.lock_until is not None
    assert found.lock_until <= await now_of(store) + SECOND


async def test_what_is_not_active_has_no_lock(store: AsyncStore) -> None:
    """[23]"""
    (made,) = await save_new(store, "job")
    assert await store.extend_lock(QUEUE, made.id, MINUTE) is False
    assert await store.extend_lock(QUEUE, "unknown", MINUTE) is False
    assert (await read(store, made)).lock_until is None


@requires("movable_clock")
async def test_an_expired_lock_is_revived(store: AsyncStore, harness: StoreHarness) -> None:
    made = await leased(store)
    await harness.advance(HOUR)
    assert await store.extend_lock(QUEUE, made.id, MINUTE, lease=made.lease) is True
    assert await store.get_stalled_jobs(QUEUE) == []
    await harness.advance(HOUR)
    assert await store.extend_lock(QUEUE, made.id, MINUTE) is True
    assert await store.get_stalled_jobs(QUEUE) == []


async def test_many_locks_are_extended_at_once(store: AsyncStore) -> None:
    await save_new(store, *"abc")
    held = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 3)
    await store.cancel_job(QUEUE, held[1].id)
    before = await now_of(store)
    extended = await store.extend_locks(QUEUE, held, HOUR)
    by_id = {each.job_id: each for each in extended}
    assert len(extended) == 3
    for each in held:
        told = by_id[each.id]
        assert (told.lease, told.lost) == (each.lease, False)
        assert told.lock_until is not None
        assert told.lock_until >= before + HOUR
        assert (await read(store, each)).lock_until == told.lock_until
    assert [by_id[each.id].cancelled for each in held] == [False, True, False]
    assert await store.extend_locks(QUEUE, [], HOUR) == []


async def test_extending_many_cuts_none_short(store: AsyncStore) -> None:
    """A call that was given up may be carried out after a later one was answered."""
    made = await leased(store)
    (told,) = await store.extend_locks(QUEUE, [made], HOUR)
    (again,) = await store.extend_locks(QUEUE, [made], MINUTE)
    assert again.lock_until == told.lock_until == (await read(store, made)).lock_until


async def test_a_lost_lease_is_not_extended_with_the_others(store: AsyncStore) -> None:
    await save_new(store, "lost", "gone", "held", "again")
    lost, gone, held, again = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 4)
    await store.update_job(QUEUE, lost.id, {"state": JobState.COMPLETED})
    await store.remove_job(QUEUE, gone.id)
    await finish(store, Retry(again, "again"))
    newer = await take(store)
    asked = [lost, gone, held, again, newer]
    told = {(e.job_id, e.lease): e.lost for e in await store.extend_locks(QUEUE, asked, HOUR)}
    assert told == {
        (lost.id, 1): True,
        (gone.id, 1): True,
        (held.id, 1): False,
        (again.id, 1): True,
        (again.id, 2): False,
    }
    assert (await read(store, lost)).lock_until is None


async def test_a_released_lock_is_cleared(store: AsyncStore) -> None:
    """[24]"""
    for lease in (None, 1):
        made = await leased(store)
        await store.release_lock(QUEUE, made.id, lease=lease)
        found = await read(store, made)
        assert (found.lock_until, found.locked_by) == (None, None)
        assert found.state is JobState.ACTIVE


async def test_releasing_an_unknown_lock_is_fine(store: AsyncStore) -> None:
    """[59]"""
    await store.release_lock(QUEUE, "unknown")
    (made,) = await save_new(store, "job")
    await store.release_lock(QUEUE, made.id)
    assert (await read(store, made)).state is JobState.WAITING


async def test_a_released_job_is_not_stalled(store: AsyncStore) -> None:
    made = await leased(store)
    await store.release_lock(QUEUE, made.id)
    assert await store.get_stalled_jobs(QUEUE) == []
    assert await store.recover_lost(QUEUE) == []


@requires("shared_data")
async def test_two_instances_keep_the_order(store: AsyncStore, harness: StoreHarness) -> None:
    """W13: upstream's SQLite store numbers jobs in the process."""
    other = await harness.another()
    await save_new(store, "a1", "a2", "a3")
    await save_new(other, "b1", "b2")
    await save_new(store, "a4")
    await save_new(other, "b3")
    assert await take_names(store, 3) == ["a1", "a2", "a3"]
    assert await take_names(other, 4) == ["b1", "b2", "a4", "b3"]
