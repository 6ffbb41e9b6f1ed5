"""Corners in which two stores answered differently, until they were driven side by side."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from oqron_sql.contract import AsyncStore, Complete, Fail, JobState, Release, Retry
from oqron_sql.contract.options import Deduplication, Group, JobOptions, Repeat
from oqron_sql.contract.schedules import Schedule
from oqron_sql.errors import GroupFull, InvalidInput, LeaseLost
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    QUEUE,
    SECOND,
    completed,
    failed,
    finish,
    job,
    leased,
    read,
    save,
    save_new,
    states,
    take,
    take_names,
    with_parent,
)

DAILY = Repeat(cron="@daily")


async def test_arguments_are_checked_when_there_is_nothing_to_do(store: AsyncStore) -> None:
    with pytest.raises(InvalidInput, match="grace"):
        await store.clean(QUEUE, JobState.FAILED, -SECOND, limit=0)
    for method in (store.remove_expired, store.recover_lost):
        with pytest.raises(InvalidInput, match="limit"):
            await method(QUEUE, limit=0)
    assert await store.clean(QUEUE, JobState.FAILED, SECOND, limit=0) == 0


async def test_what_is_of_another_queue_is_refused(store: AsyncStore) -> None:
    held = await leased(store)
    for refused in (
        store.extend_locks("other", [held], MINUTE),
        store.check_locks("other", [held]),
        store.finish_jobs("other", [Complete(held)]),
        store.save_job("other", held),
        store.put_schedule("other", Schedule(queue_name=QUEUE, key="k", name="n", repeat=DAILY)),
    ):
        with pytest.raises(InvalidInput) as caught:
            await refused
        assert (caught.value.field, caught.value.value) == ("queue_name", QUEUE)


async def test_a_log_of_a_lost_lease_says_so_of_a_job_that_is_gone(store: AsyncStore) -> None:
    held = await leased(store)
    await store.remove_job(QUEUE, held.id)
    with pytest.raises(LeaseLost):
        await store.append_logs(QUEUE, held.id, ["line"], lease=held.lease)


async def test_a_retry_after_a_release_is_lost(store: AsyncStore) -> None:
    """The job waits either way, but the attempt was not counted."""
    held = await leased(store)
    settled = await store.finish_jobs(QUEUE, [Release(held), Retry(held, "late")])
    assert [each.lost for each in settled] == [False, True]
    assert (await read(store, held)).attempts_made == 0


async def test_of_ends_at_one_instant_the_newest_job_comes_first(store: AsyncStore) -> None:
    for make, state in ((Complete, JobState.COMPLETED), (_failing, JobState.FAILED)):
        saved = await save_new(store, "a", "b", "c")
        held = await store.fetch_jobs(QUEUE, "w", MINUTE, 3)
        await store.finish_jobs(QUEUE, [make(each) for each in held])
        listed = await store.list_jobs(QUEUE, state)
        assert [each.id for each in listed] == [each.id for each in reversed(saved)]


def _failing(job: object) -> Fail:
    return Fail(job, "boom")  # type: ignore[arg-type]  # it is one


@requires("movable_clock")
async def test_a_revived_job_takes_a_key_whose_time_is_over(
    store: AsyncStore, harness: StoreHarness
) -> None:
    once = Deduplication(key="k", ttl=MINUTE)
    first = await failed(store, deduplication=Deduplication(key="k"))
    await save_new(store, "second", deduplication=once)
    await harness.advance(HOUR)
    await store.retry_jobs(QUEUE, JobState.FAILED)
    found = await store.find_by_deduplication_key(QUEUE, "k")
    assert found is not None
    assert found.id == first.id


@requires("movable_clock")
async def test_a_key_whose_time_is_over_costs_nobody_his_place(
    store: AsyncStore, harness: StoreHarness
) -> None:
    once = Deduplication(key="k", ttl=SECOND)
    old = await leased(store, deduplication=once)
    await harness.advance(MINUTE)
    jobs = [job("a"), job("b", deduplication=once), job("c")]
    await store.save_bulk(QUEUE, jobs)
    assert await take_names(store, 3) == ["a", "b", "c"]
    found = await store.find_by_deduplication_key(QUEUE, "k")
    assert found is not None
    assert found.id == jobs[1].id != old.id


async def test_a_key_that_is_over_when_it_is_saved_costs_nobody_his_place(
    store: AsyncStore,
) -> None:
    once = Deduplication(key="k", ttl=SECOND)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    old = dataclasses.replace(job("a", deduplication=once), created_at=long_ago)
    jobs = [old, job("b", deduplication=once), job("c", deduplication=once), job("d")]
    assert await store.save_bulk(QUEUE, jobs) == [j.id for j in (old, jobs[1], jobs[1], jobs[3])]
    assert await take_names(store, 3) == ["a", "b", "d"]


async def test_of_one_id_twice_in_a_bulk_each_is_answered_by_itself(store: AsyncStore) -> None:
    (holder,) = await save_new(store, "holder", deduplication=Deduplication(key="k"))
    keyed = job("keyed", deduplication=Deduplication(key="k"))
    plain = dataclasses.replace(job("plain"), id=keyed.id)
    assert await store.save_bulk(QUEUE, [keyed, plain]) == [holder.id, plain.id]
    assert (await read(store, plain)).name == "plain"


async def test_a_job_saved_as_ended_is_saved_whoever_has_its_key(store: AsyncStore) -> None:
    key = Deduplication(key="k")
    await save_new(store, "live", deduplication=key)
    ended = dataclasses.replace(
        job("ended", deduplication=key), state=JobState.COMPLETED, deduplication_key="k"
    )
    assert await save(store, ended) == [ended.id]


@requires("movable_clock")
async def test_a_parent_that_waits_because_of_a_cleaning_is_cleaned(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """For a cleaning goes on until nothing is left to be cleaned."""
    for limits, counts in (((1, None), (1, 1)), ((None,), (2,))):
        await store.save_flow(with_parent(job("parent"), job("child")))
        await harness.advance(MINUTE)
        cleaned = [
            await store.clean(QUEUE, JobState.WAITING, SECOND, limit=limit) for limit in limits
        ]
        assert tuple(cleaned) == counts


async def test_an_unknown_child_is_not_counted(store: AsyncStore) -> None:
    parent, child = job("parent"), job("child")
    await store.save_flow(with_parent(parent, child))
    told = await store.notify_child_completed(QUEUE, parent.id, child_id="nobody")
    assert told is JobState.WAITING_CHILDREN
    told = await store.notify_child_completed(QUEUE, parent.id, child_id=child.id)
    assert told is JobState.WAITING


async def test_an_end_without_an_instant_can_be_told(store: AsyncStore) -> None:
    """Also to a store that records metrics, for which it ends now."""
    held = await leased(store)
    await store.update_job(
        QUEUE, held.id, {"state": JobState.COMPLETED, "completed_at": None, "returnvalue": 1}
    )
    assert (await read(store, held)).completed_at is None


async def test_a_delayed_job_stays_due(store: AsyncStore) -> None:
    (made,) = await save_new(store, "job", delay=HOUR)
    await store.update_job(QUEUE, made.id, {"delay_until": None})
    assert await store.promote_delayed_jobs(QUEUE) == 1


@requires("movable_clock")
async def test_a_sweep_passes_over_jobs_that_were_retried(
    store: AsyncStore, harness: StoreHarness
) -> None:
    await completed(store, "retried", remove_on_complete=SECOND)
    await store.retry_jobs(QUEUE, JobState.COMPLETED)
    again = await take(store)
    await harness.advance(SECOND)
    await completed(store, "gone", remove_on_complete=SECOND)
    await harness.advance(MINUTE)
    assert await store.remove_expired(QUEUE, limit=1) == 1
    assert await states(store, [again]) == [JobState.ACTIVE]


async def test_every_attempt_is_told_of_a_job_that_lives_again(store: AsyncStore) -> None:
    done = await completed(store)
    await store.update_job(QUEUE, done.id, {"state": JobState.WAITING})
    assert [each.status for each in (await read(store, done)).attempt_logs] == ["completed"]
    await finish(store, Complete(await take(store)))
    told = (await read(store, done)).attempt_logs
    assert [(each.attempt, each.status) for each in told] == [(1, "completed")] * 2


async def test_progress_is_whole_or_not_in_one_bulk(store: AsyncStore) -> None:
    jobs = [dataclasses.replace(job(), progress=progress) for progress in (0, 99.5, 7)]
    await store.save_bulk(QUEUE, jobs)
    assert [(await read(store, each)).progress for each in jobs] == [0, 99.5, 7]


async def test_the_least_room_that_a_bulk_asks_for_counts(store: AsyncStore) -> None:
    """In whatever order its jobs come, and by the group that the job is in."""
    narrow = job("narrow", group=Group(id="g", max_size=1))
    wide = job("wide", group=Group(id="g", max_size=2))
    with pytest.raises(GroupFull):
        await store.save_bulk(QUEUE, [narrow, wide])
    elsewhere = dataclasses.replace(narrow, group_id=None)
    assert await store.save_bulk(QUEUE, [elsewhere, wide]) == [elsewhere.id, wide.id]


async def test_groups_that_were_never_served_come_by_name(store: AsyncStore) -> None:
    for group in ("c", "a", "b"):
        await save_new(store, group, group=Group(id=group))
    await save_new(store, "none")
    taken = await take_names(store, 4, group_concurrency=1)
    assert taken == ["none", "a", "b", "c"]


async def test_a_key_is_held_for_the_time_it_was_saved_with(store: AsyncStore) -> None:
    (made,) = await save_new(store, "job", deduplication=Deduplication(key="k"))
    opts = dataclasses.replace(made.opts, deduplication=Deduplication(key="k", ttl=SECOND))
    await store.update_job(QUEUE, made.id, {"opts": opts})
    assert await store.find_by_deduplication_key(QUEUE, "k") is not None


@requires("movable_clock")
async def test_a_parent_that_ran_once_and_fails_for_its_child_is_counted(
    store: AsyncStore, harness: StoreHarness
) -> None:
    (parent,) = await save_new(store, "parent")
    await take(store, lock=SECOND)
    await harness.advance(MINUTE)
    await store.recover_lost(QUEUE)
    assert await store.fail_parent_on_child_failure(QUEUE, parent.id, "boom")
    failed_at = (await read(store, parent)).failed_at
    assert failed_at is not None
    (total, _) = await store.get_metrics(QUEUE, "hour", failed_at - HOUR, failed_at + HOUR)
    assert total.failed_count == 1


async def test_a_parent_is_told_once_every_outcome_is_recorded(store: AsyncStore) -> None:
    (parent,) = await save_new(store, "parent")
    child = job("child")
    child.parent_id, child.parent_queue_name = parent.id, parent.queue_name
    await save(store, child)
    held, failing = await take(store), await take(store)
    await store.finish_jobs(QUEUE, [Fail(failing, "boom"), Release(held)])
    assert (await read(store, parent)).state is JobState.FAILED


@requires("movable_clock")
async def test_of_locks_that_end_together_the_older_job_s_comes_first(
    store: AsyncStore, harness: StoreHarness
) -> None:
    made = [job(name) for name in "abc"]
    made[0].opts = JobOptions(priority=1)
    await save(store, *made)
    held = await store.fetch_jobs(QUEUE, "me", SECOND, 3)
    await store.extend_locks(QUEUE, held, MINUTE)
    await harness.advance(HOUR)
    assert [each.name for each in await store.get_stalled_jobs(QUEUE)] == ["a", "b", "c"]
    assert [each.job_id for each in await store.recover_lost(QUEUE)] == [each.id for each in made]


async def test_a_keyed_child_may_have_the_name_of_its_parent(store: AsyncStore) -> None:
    """Another job stands for it; it is the parent that is new, and that does not wait for it."""
    key = Deduplication(key="k")
    await save_new(store, "holder", deduplication=key)
    child, other, root = job("child", deduplication=key), job("other"), job("root")
    child.id = root.id
    with_parent(root, child, other)
    await store.save_flow([child, other, root])
    assert (await read(store, root)).pending_children_count == 1


async def test_of_failures_told_at_once_the_nearer_one_is_the_reason(store: AsyncStore) -> None:
    leaf, middle, near, root = job("leaf"), job("middle"), job("near"), job("root")
    with_parent(root, middle, near)
    with_parent(middle, leaf)
    await store.save_flow([leaf, middle, near, root])
    held = {each.name: each for each in await store.fetch_jobs(QUEUE, "me", MINUTE, 2)}
    await store.finish_jobs(QUEUE, [Fail(held["leaf"], "far"), Fail(held["near"], "near")])
    assert (await read(store, middle)).failed_reason == "Child failed: far"
    assert (await read(store, root)).failed_reason == "Child failed: near"


async def test_what_ends_again_goes_by_its_latest_end(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """It was to go a minute after its failure, was retried, and failed with its worker."""
    held = await leased(store, remove_on_fail=MINUTE)
    await finish(store, Fail(held, "boom"))
    await store.retry_jobs(QUEUE, JobState.FAILED)
    await take(store, lock=SECOND)
    await harness.advance(HOUR)
    (lost,) = await store.recover_lost(QUEUE, max_lost=0)
    assert lost.state is JobState.FAILED
    assert await store.remove_expired(QUEUE) == 0
    assert await states(store, [held]) == [JobState.FAILED]
    await harness.advance(HOUR)
    assert await store.remove_expired(QUEUE) == 1


async def test_a_queue_may_have_no_activity_that_is_known(store: AsyncStore) -> None:
    await save(store, dataclasses.replace(job(), state=JobState.FAILED))
    assert [each.latest_activity for each in await store.list_queues()] == [None]
