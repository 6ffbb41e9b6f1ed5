"""Only the newest lease of a job can change it (W4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from oqron_sql.contract import AsyncStore, Complete, Fail, Job, JobState, Outcome, Release, Retry
from oqron_sql.errors import JobNotFound, LeaseLost
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    QUEUE,
    SECOND,
    WORKER,
    completed,
    contents,
    finish,
    job,
    leased,
    read,
    take,
)

Guarded = Callable[[AsyncStore, str, int], Coroutine[Any, Any, object]]

GUARDED: dict[str, Guarded] = {
    "update_job": lambda s, i, n: s.update_job(QUEUE, i, {"progress": 99}, lease=n),
    "update_job-state": lambda s, i, n: s.update_job(
        QUEUE, i, {"state": JobState.COMPLETED, "returnvalue": "stale"}, lease=n
    ),
    "update_job-nothing": lambda s, i, n: s.update_job(QUEUE, i, {}, lease=n),
    "append_logs": lambda s, i, n: s.append_logs(QUEUE, i, ["stale"], lease=n),
    "extend_lock": lambda s, i, n: s.extend_lock(QUEUE, i, HOUR, lease=n),
    "release_lock": lambda s, i, n: s.release_lock(QUEUE, i, lease=n),
}


async def leased_again(store: AsyncStore) -> tuple[Job, Job]:
    """Let one worker lease a job, give it back and lease it again: only the number tells."""
    old = await leased(store)
    await finish(store, Retry(old, "again"))
    new = await take(store, old.locked_by or WORKER)
    assert (new.id, new.locked_by) == (old.id, old.locked_by)
    return old, new


async def assert_lost(store: AsyncStore, old: Job, current: int | None) -> None:
    """Assert that every call with that lease is refused, says why, and changes nothing."""
    before = await contents(store)
    for name, call in GUARDED.items():
        with pytest.raises((JobNotFound, LeaseLost)) as refused:
            await call(store, old.id, old.lease)
        error = refused.value
        assert isinstance(error, JobNotFound | LeaseLost)
        assert (error.queue, error.job_id) == (QUEUE, old.id), name
        if isinstance(error, LeaseLost):
            assert (error.lease, error.current) == (old.lease, current), name
        else:  # both are true of a log without a job
            assert (current, name) == (None, "append_logs")
    assert await contents(store) == before


async def test_a_held_lease_may(store: AsyncStore) -> None:
    for call in GUARDED.values():
        made = await leased(store)
        await call(store, made.id, made.lease)


async def test_a_stale_lease_may_not(store: AsyncStore) -> None:
    old, new = await leased_again(store)
    await assert_lost(store, old, new.lease)


async def test_a_lease_that_was_given_back_may_not(store: AsyncStore) -> None:
    old = await leased(store)
    await finish(store, Retry(old, "again"))
    await assert_lost(store, old, old.lease)


async def test_a_lease_that_was_released_may_not(store: AsyncStore) -> None:
    old = await leased(store)
    await store.release_lock(QUEUE, old.id)
    await assert_lost(store, old, old.lease)


async def test_the_lease_of_a_finished_job_may_not(store: AsyncStore) -> None:
    old = await completed(store)
    await assert_lost(store, old, old.lease)


async def test_the_lease_of_a_removed_job_may_not(store: AsyncStore) -> None:
    old = await leased(store)
    await store.remove_job(QUEUE, old.id)
    await assert_lost(store, old, None)


async def test_a_lease_that_never_was_may_not(store: AsyncStore) -> None:
    made = await leased(store)
    for number in (0, 2, 2**40):
        never = job(job_id=made.id)
        never.lease = number
        await assert_lost(store, never, made.lease)


def outcomes_of(old: Job) -> list[Outcome]:
    """Return all that a worker could report of a lease."""
    later = Retry(old, "stale", MINUTE)
    return [Complete(old, "stale"), Fail(old, "stale"), Retry(old, "stale"), later, Release(old)]


async def test_a_stale_lease_ends_nothing(store: AsyncStore) -> None:
    old, new = await leased_again(store)
    before = await contents(store)
    for outcome in outcomes_of(old):
        settled = await finish(store, outcome)
        assert (settled.job_id, settled.lease, settled.lost) == (old.id, old.lease, True)
    settled_all = await store.finish_jobs(QUEUE, outcomes_of(old))
    assert all(each.lost for each in settled_all)
    (extension,) = await store.extend_locks(QUEUE, [old], HOUR)
    assert extension.lost
    assert await contents(store) == before
    assert (await finish(store, Complete(new, "fresh"))).state is JobState.COMPLETED
    assert (await read(store, new)).returnvalue == "fresh"


@requires("movable_clock")
async def test_a_lease_that_was_taken_back_ends_nothing(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """W4: the stalled worker comes back after its job was recovered."""
    old = await leased(store)
    await harness.advance(MINUTE + SECOND)
    await store.recover_lost(QUEUE)
    before = await contents(store)
    for outcome in outcomes_of(old)[:2]:  # a retry is what has become of it anyway
        assert (await finish(store, outcome)).lost
    assert await contents(store) == before
    new = await take(store, old.locked_by or WORKER)
    before = await contents(store)
    for outcome in outcomes_of(old):
        assert (await finish(store, outcome)).lost
    assert await contents(store) == before
    assert new.lease == old.lease + 1


async def test_the_lease_of_a_removed_job_ends_nothing_though_its_id_lives_again(
    store: AsyncStore,
) -> None:
    old = await leased(store)
    await store.remove_job(QUEUE, old.id)
    anew = dataclasses.replace(job("anew"), id=old.id)
    await store.save_job(QUEUE, anew)
    new = await take(store)
    assert (new.id, new.lease) == (old.id, old.lease)
    before = await contents(store)
    assert (await finish(store, Complete(old))).lost
    assert [each.lost for each in await store.extend_locks(QUEUE, [old], HOUR)] == [True]
    assert [each.lost for each in await store.check_locks(QUEUE, [old])] == [True]
    assert await contents(store) == before
    assert not (await finish(store, Complete(new))).lost


async def test_an_end_that_is_told_twice_at_once_is_answered_twice(store: AsyncStore) -> None:
    """Also of a job that is not kept."""
    held = await leased(store, remove_on_complete=True)
    told = await store.finish_jobs(QUEUE, [Complete(held, 1), Fail(held, "no"), Complete(held, 1)])
    assert [each.state for each in told] == [JobState.COMPLETED, None, JobState.COMPLETED]


async def test_without_a_lease_anybody_may(store: AsyncStore) -> None:
    _, new = await leased_again(store)
    await store.update_job(QUEUE, new.id, {"progress": 5})
    await store.append_logs(QUEUE, new.id, ["line"])
    assert await store.extend_lock(QUEUE, new.id, HOUR)
    found = await read(store, new)
    assert (found.progress, found.logs, found.lease) == (5, ("line",), new.lease)
