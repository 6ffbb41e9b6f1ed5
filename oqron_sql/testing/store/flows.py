"""Parents and children, one level of them."""

from __future__ import annotations

from typing import Any

import pytest

from oqron_sql.contract import AsyncStore, Complete, Fail, Job, JobState, Outcome, Retry
from oqron_sql.errors import PayloadError
from oqron_sql.testing.steps import (
    MINUTE,
    PAST,
    QUEUE,
    WORKER,
    fetch,
    finish,
    job,
    now_of,
    read,
    save,
    save_new,
    take,
    with_parent,
)

CHILDREN = "children"


async def family(store: AsyncStore, size: int = 2, **options: Any) -> tuple[Job, list[Job]]:
    """Save a parent, with options of its own, and its children in another queue."""
    parent = job("parent", **options)
    children = [job(f"child-{n}", queue=CHILDREN) for n in range(size)]
    await store.save_flow(with_parent(parent, *children))
    return parent, children


async def lease_children(store: AsyncStore, n: int = 10) -> list[Job]:
    """Lease the children that wait."""
    return await store.fetch_jobs(CHILDREN, WORKER, MINUTE, n)


async def test_a_flow_is_saved_with_its_links(store: AsyncStore) -> None:
    """[41]"""
    parent = job("parent")
    children = [job(name, queue=CHILDREN) for name in ("one", "two")]
    ids = await store.save_flow(with_parent(parent, *children))
    assert ids == [children[0].id, children[1].id, parent.id]
    found = await read(store, parent)
    assert (found.state, found.pending_children_count) == (JobState.WAITING_CHILDREN, 2)
    assert found.children_ids == (children[0].id, children[1].id)
    child = await read(store, children[0])
    assert (child.parent_id, child.parent_queue_name) == (parent.id, QUEUE)


async def test_a_flow_is_saved_whole_or_not(store: AsyncStore) -> None:
    parent = job("parent", float("nan"))
    with pytest.raises(PayloadError):
        await store.save_flow(with_parent(parent, job(queue=CHILDREN)))
    assert await store.list_queues() == []
    assert await store.save_flow([]) == []


async def test_children_may_be_saved_without_their_parent(store: AsyncStore) -> None:
    """[41] No parent has to be there."""
    orphan = job()
    orphan.parent_id, orphan.parent_queue_name = "not-yet", "nowhere"
    await save(store, orphan)
    running = await take(store)
    assert (await finish(store, Complete(running))).state is JobState.COMPLETED
    await store.remove_job(QUEUE, orphan.id)


async def test_the_last_child_lets_the_parent_go(store: AsyncStore) -> None:
    """[42]"""
    parent, _ = await family(store)
    told = [await store.notify_child_completed(QUEUE, parent.id) for _ in range(2)]
    assert told == [JobState.WAITING_CHILDREN, JobState.WAITING]
    found = await read(store, parent)
    assert (found.state, found.pending_children_count) == (JobState.WAITING, 0)
    assert (await take(store)).id == parent.id


async def test_an_unknown_parent_counts_as_completed(store: AsyncStore) -> None:
    """[43]"""
    assert await store.notify_child_completed(QUEUE, "unknown") is JobState.COMPLETED
    told = await store.notify_child_completed(QUEUE, "unknown", child_id="child")
    assert told is JobState.COMPLETED


async def test_a_failed_child_fails_its_parent(store: AsyncStore) -> None:
    """[44]"""
    parent, _ = await family(store)
    before = await now_of(store)
    assert await store.fail_parent_on_child_failure(QUEUE, parent.id, "child error") is True
    found = await read(store, parent)
    assert (found.state, found.failed_reason) == (JobState.FAILED, "Child failed: child error")
    assert found.failed_at is not None
    assert before <= found.failed_at <= await now_of(store)
    assert (found.locked_by, found.lock_until) == (None, None)


async def test_an_unknown_parent_cannot_fail(store: AsyncStore) -> None:
    """[45]"""
    assert await store.fail_parent_on_child_failure(QUEUE, "unknown", "boom") is False


async def test_a_waiting_parent_can_still_fail(store: AsyncStore) -> None:
    (parent,) = await save_new(store, "parent")
    assert await store.fail_parent_on_child_failure(QUEUE, parent.id, "boom") is True


@pytest.mark.parametrize("state", [JobState.ACTIVE, JobState.DELAYED, JobState.COMPLETED])
async def test_a_parent_that_waits_no_more_is_left_alone(
    store: AsyncStore, state: JobState
) -> None:
    """W6: upstream's memory and Redis stores revive a finished parent."""
    parent = job("parent")
    parent.state, parent.pending_children_count = state, 1
    await save(store, parent)
    before = await read(store, parent)
    assert await store.fail_parent_on_child_failure(QUEUE, parent.id, "late") is False
    assert await store.notify_child_completed(QUEUE, parent.id) is JobState.COMPLETED
    told = await store.notify_child_completed(QUEUE, parent.id, child_id="child")
    assert told is JobState.COMPLETED
    assert await read(store, parent) == before


async def test_children_are_found_in_any_queue(store: AsyncStore) -> None:
    """[46]"""
    parent = job("parent")
    children = [job(name, queue=name) for name in ("young", "old")]
    for child, age in zip(children, (1, 2), strict=True):
        child.created_at = PAST - age * MINUTE
    await store.save_flow(with_parent(parent, *children))
    found = await store.get_children_jobs(QUEUE, parent.id)
    assert found == [await read(store, children[1]), await read(store, children[0])]


async def test_no_children_is_an_empty_list(store: AsyncStore) -> None:
    """[60]"""
    (made,) = await save_new(store, "job")
    assert await store.get_children_jobs(QUEUE, made.id) == []
    assert await store.get_children_jobs(QUEUE, "unknown") == []


async def test_the_parent_of_that_id_in_another_queue_is_not_meant(store: AsyncStore) -> None:
    parent, _ = await family(store)
    namesake = job("namesake", queue="elsewhere", job_id=parent.id)
    namesake.state, namesake.pending_children_count = JobState.WAITING_CHILDREN, 1
    await save(store, namesake)
    assert await store.get_children_jobs("elsewhere", parent.id) == []
    for child in await lease_children(store):
        await finish(store, Complete(child))
    assert (await read(store, parent)).state is JobState.WAITING
    assert (await read(store, namesake)).state is JobState.WAITING_CHILDREN


async def test_a_parent_is_not_fetched_before_its_children(store: AsyncStore) -> None:
    """[48]"""
    parent = job("parent")
    await store.save_flow(with_parent(parent, job("child")))
    child = await take(store)
    assert child.name == "child"
    assert await fetch(store) is None
    await finish(store, Complete(child))
    assert (await take(store)).id == parent.id


async def test_finishing_children_tells_the_parent(store: AsyncStore) -> None:
    """W7, and in the same step."""
    parent, _ = await family(store)
    first, second = await lease_children(store)
    await finish(store, Complete(first))
    assert (await read(store, parent)).pending_children_count == 1
    await finish(store, Retry(second, "not yet"))
    assert (await read(store, parent)).pending_children_count == 1
    (second,) = await lease_children(store)
    await finish(store, Complete(second))
    found = await read(store, parent)
    assert (found.state, found.pending_children_count) == (JobState.WAITING, 0)


async def test_children_that_finish_together_all_count(store: AsyncStore) -> None:
    parent, _ = await family(store, 4)
    held = await lease_children(store)
    await store.finish_jobs(CHILDREN, [Complete(child) for child in held])
    found = await read(store, parent)
    assert (found.state, found.pending_children_count) == (JobState.WAITING, 0)


async def test_a_child_that_fails_among_others_fails_the_parent(store: AsyncStore) -> None:
    parent, _ = await family(store, 3)
    a, b, c = await lease_children(store)
    outcomes: list[Outcome] = [Complete(a), Fail(b, "boom"), Complete(c)]
    await store.finish_jobs(CHILDREN, outcomes)
    found = await read(store, parent)
    assert (found.state, found.failed_reason) == (JobState.FAILED, "Child failed: boom")


async def test_a_child_is_counted_once(store: AsyncStore) -> None:
    """W6: a child that ends twice, or is told of twice, is one child."""
    parent, children = await family(store, 3)
    child = (await lease_children(store, 1))[0]
    await finish(store, Complete(child))
    await finish(store, Complete(child))
    for _ in range(2):
        await store.notify_child_completed(QUEUE, parent.id, child_id=child.id)
    assert (await read(store, parent)).pending_children_count == 2
    await store.retry_jobs(CHILDREN, JobState.COMPLETED)
    again = next(each for each in await lease_children(store) if each.id == child.id)
    await finish(store, Complete(again))
    await store.remove_job(CHILDREN, child.id)
    assert (await read(store, parent)).pending_children_count == 2
    for _ in range(2):
        await store.notify_child_completed(QUEUE, parent.id, child_id=children[1].id)
    assert (await read(store, parent)).pending_children_count == 1


async def test_a_child_told_of_by_hand_is_not_counted_when_it_ends(store: AsyncStore) -> None:
    parent, _ = await family(store)
    child = (await lease_children(store))[0]
    told = await store.notify_child_completed(QUEUE, parent.id, child_id=child.id)
    assert told is JobState.WAITING_CHILDREN
    await finish(store, Complete(child))
    assert (await read(store, parent)).pending_children_count == 1


async def test_an_update_tells_no_parent(store: AsyncStore) -> None:
    parent, children = await family(store)
    for child, state in zip(children, (JobState.COMPLETED, JobState.FAILED), strict=True):
        await store.update_job(CHILDREN, child.id, {"state": state})
    found = await read(store, parent)
    assert (found.state, found.pending_children_count) == (JobState.WAITING_CHILDREN, 2)


async def test_flow_parents_are_listed_newest_first(store: AsyncStore) -> None:
    for age, name in enumerate(("young", "middle", "old")):
        parent = job(name)
        parent.created_at = PAST - age * MINUTE
        await store.save_flow(with_parent(parent, job(queue=CHILDREN)))
    found = await store.list_flow_parents()
    assert [each.name for each in found] == ["young", "middle", "old"]
    assert found[0] == await read(store, found[0])
    assert [each.name for each in await store.list_flow_parents(limit=2)] == ["young", "middle"]


async def test_flow_parents_are_listed_by_state(store: AsyncStore) -> None:
    parent, _ = await family(store)
    await save_new(store, "not-a-parent")
    waiting = await store.list_flow_parents(JobState.WAITING_CHILDREN)
    assert [each.id for each in waiting] == [parent.id]
    assert await store.list_flow_parents(JobState.WAITING) == []
