"""Trees of three levels: what happens below is told all the way up (W7)."""

from __future__ import annotations

from typing import Literal

import pytest

from oqron_sql.contract import AsyncStore, Complete, Deduplication, Fail, Job, JobState, Retry
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    WORKER,
    finish,
    job,
    now_of,
    read,
    states,
    take,
    with_parent,
)

Policy = Literal["fail", "ignore", "remove"]
WAITING_CHILDREN = JobState.WAITING_CHILDREN
WAITING = JobState.WAITING
FAILED = JobState.FAILED


async def tree(
    store: AsyncStore, root_policy: Policy = "fail", middle_policy: Policy = "fail", leaves: int = 1
) -> tuple[Job, Job, list[Job]]:
    """Save root, middle and leaves, each level in a queue of its own."""
    root = job("root", queue="roots", fail_parent_on_child_failure=root_policy)
    middle = job("middle", queue="middles", fail_parent_on_child_failure=middle_policy)
    ends = [job(f"leaf-{n}", queue="leaves") for n in range(leaves)]
    with_parent(root, middle)
    middle_too = with_parent(middle, *ends)
    await store.save_flow([*middle_too, root])
    return root, middle, ends


async def fail_a_leaf(store: AsyncStore, reason: str = "boom") -> None:
    leaf = await take(store, queue="leaves")
    assert (await finish(store, Fail(leaf, reason))).state is FAILED


async def test_a_parent_does_not_wait_for_a_child_that_another_job_stands_for(
    store: AsyncStore,
) -> None:
    """The holder of the key is nobody's child and would never tell this parent."""
    key = Deduplication(key="once")
    holder = job("holder", queue="leaves", deduplication=key)
    await store.save_job("leaves", holder)
    own, double = job("own", queue="leaves"), job("double", queue="leaves", deduplication=key)
    root = job("root", queue="roots")
    saved = await store.save_flow(with_parent(root, own, double))
    assert saved == [own.id, holder.id, root.id]
    assert (await read(store, root)).pending_children_count == 1
    await take(store, queue="leaves")
    await finish(store, Complete(await take(store, queue="leaves")))
    assert await states(store, [root]) == [WAITING]


async def test_a_flow_saved_again_is_not_told_again_of_a_child_that_another_stands_for(
    store: AsyncStore,
) -> None:
    """Whoever lost the reply saves it again."""
    key = Deduplication(key="once")
    await store.save_job("leaves", job("holder", queue="leaves", deduplication=key))
    root = job("root", queue="roots")
    double = job("double", queue="leaves", deduplication=key)
    flow = with_parent(root, job("own", queue="leaves"), job(queue="leaves"), double)
    saved = [await store.save_flow(flow) for _ in range(3)]
    assert saved == [saved[0]] * 3
    found = await read(store, root)
    assert (found.state, found.pending_children_count) == (WAITING_CHILDREN, 2)


async def test_a_child_saved_for_a_parent_that_was_there_before_is_told_of(
    store: AsyncStore,
) -> None:
    key = Deduplication(key="once")
    await store.save_job("leaves", job("holder", queue="leaves", deduplication=key))
    root = job("root", queue="roots")
    double = job("double", queue="leaves", deduplication=key)
    *children, _ = with_parent(root, job("own", queue="leaves"), double)
    await store.save_job("roots", root)
    await store.save_flow(children)
    assert (await read(store, root)).pending_children_count == 1


async def test_a_tree_completes_upward(store: AsyncStore) -> None:
    root, middle, _ = await tree(store, leaves=2)
    for _ in range(2):
        assert await states(store, [middle, root]) == [WAITING_CHILDREN, WAITING_CHILDREN]
        await finish(store, Complete(await take(store, queue="leaves")))
    assert await states(store, [middle, root]) == [WAITING, WAITING_CHILDREN]
    await finish(store, Complete(await take(store, queue="middles")))
    assert await states(store, [root]) == [WAITING]
    await finish(store, Complete(await take(store, queue="roots")))
    assert await states(store, [root]) == [JobState.COMPLETED]


async def test_a_failed_leaf_is_told_upward(store: AsyncStore) -> None:
    policies: list[tuple[Policy, Policy, JobState | None, JobState | None]] = [
        ("fail", "fail", FAILED, FAILED),
        ("fail", "ignore", FAILED, WAITING),
        ("fail", "remove", FAILED, None),
        ("ignore", "fail", WAITING, WAITING_CHILDREN),
        ("ignore", "ignore", WAITING, WAITING_CHILDREN),
        ("ignore", "remove", WAITING, WAITING_CHILDREN),
        ("remove", "fail", None, WAITING),
        ("remove", "ignore", None, WAITING),
        ("remove", "remove", None, WAITING),
    ]
    for of_middle, of_root, middle_then, root_then in policies:
        root, middle, _ = await tree(store, of_root, of_middle)
        await fail_a_leaf(store)
        found = await states(store, [middle, root])
        assert found == [middle_then, root_then], f"middle {of_middle}, root {of_root}"


async def test_the_reason_is_told_upward(store: AsyncStore) -> None:
    root, middle, _ = await tree(store)
    before = await now_of(store)
    await fail_a_leaf(store, "no such file")
    assert (await read(store, middle)).failed_reason == "Child failed: no such file"
    found = await read(store, root)
    assert found.failed_reason is not None
    assert found.failed_reason.startswith("Child failed: ")
    assert found.failed_reason.endswith("no such file")
    assert found.failed_at is not None
    assert found.failed_at >= before


async def test_siblings_of_a_failed_leaf_go_on(store: AsyncStore) -> None:
    root, middle, _ = await tree(store, leaves=2)
    await fail_a_leaf(store)
    other = await take(store, queue="leaves")
    assert (await finish(store, Complete(other))).state is JobState.COMPLETED
    assert await states(store, [middle, root]) == [FAILED, FAILED]


async def test_an_ignored_failure_counts_as_one_child(store: AsyncStore) -> None:
    _, middle, _ = await tree(store, middle_policy="ignore", leaves=2)
    await fail_a_leaf(store)
    found = await read(store, middle)
    assert (found.state, found.pending_children_count) == (WAITING_CHILDREN, 1)


async def test_a_retry_is_no_failure(store: AsyncStore) -> None:
    root, middle, _ = await tree(store)
    await finish(store, Retry(await take(store, queue="leaves"), "boom"))
    assert await states(store, [middle, root]) == [WAITING_CHILDREN, WAITING_CHILDREN]


async def test_a_parent_failed_by_hand_is_told_upward(store: AsyncStore) -> None:
    root, middle, _ = await tree(store)
    assert await store.fail_parent_on_child_failure("middles", middle.id, "boom") is True
    assert await states(store, [middle, root]) == [FAILED, FAILED]


@requires("movable_clock")
async def test_a_leaf_lost_for_good_is_told_upward(
    store: AsyncStore, harness: StoreHarness
) -> None:
    root, middle, _ = await tree(store)
    await take(store, queue="leaves")
    await harness.advance(HOUR)
    await store.recover_lost("leaves")
    assert await states(store, [middle, root]) == [WAITING_CHILDREN, WAITING_CHILDREN]
    await take(store, queue="leaves")
    await harness.advance(HOUR)
    await store.recover_lost("leaves", max_lost=1)
    assert await states(store, [middle, root]) == [FAILED, FAILED]
    assert (await read(store, middle)).failed_reason == "Child failed: worker lost 2 times"


@pytest.mark.parametrize("how", ["remove", "drain", "clean", "obliterate"])
async def test_a_leaf_that_goes_away_is_told_upward(store: AsyncStore, how: str) -> None:
    root, middle = job("root", queue="roots"), job("middle", queue="middles")
    leaf = job("leaf", queue="leaves")
    leaf.created_at = await now_of(store) - HOUR
    with_parent(root, middle)
    await store.save_flow([*with_parent(middle, leaf), root])
    match how:
        case "remove":
            await store.remove_job("leaves", leaf.id)
        case "drain":
            await store.drain("leaves")
        case "clean":
            assert await store.clean("leaves", WAITING, MINUTE) == 1
        case "obliterate":
            await store.obliterate("leaves")
    found = await read(store, middle)
    assert (found.state, found.pending_children_count) == (WAITING, 0)
    assert await states(store, [root]) == [WAITING_CHILDREN]


async def test_a_removed_middle_is_told_upward(store: AsyncStore) -> None:
    root, middle, (leaf,) = await tree(store)
    await store.remove_job("middles", middle.id)
    assert await states(store, [root, leaf]) == [WAITING, WAITING]
    await finish(store, Complete(await take(store, queue="leaves")))
    assert await states(store, [root]) == [WAITING]


async def test_what_ended_before_is_not_counted_when_removed(store: AsyncStore) -> None:
    _, middle, _ = await tree(store, middle_policy="ignore", leaves=3)
    done = await take(store, queue="leaves")
    await finish(store, Complete(done))
    await fail_a_leaf(store)
    assert (await read(store, middle)).pending_children_count == 1
    await store.remove_job("leaves", done.id)
    assert (await read(store, middle)).pending_children_count == 1
    await store.obliterate("leaves")
    assert await states(store, [middle]) == [WAITING]


async def test_a_queue_drained_with_its_parents(store: AsyncStore) -> None:
    """The parent goes as well, and only the one above it, elsewhere, is told."""
    root = job("root", queue="roots")
    middle, leaf = job("middle", queue="both"), job("leaf", queue="both")
    with_parent(root, middle)
    await store.save_flow([*with_parent(middle, leaf), root])
    await store.drain("both")
    assert await states(store, [middle, leaf]) == [None, None]
    assert await states(store, [root]) == [WAITING]


async def test_a_cancelled_leaf_that_fails_is_told_upward(store: AsyncStore) -> None:
    """W8"""
    root, middle, _ = await tree(store)
    leaf = await take(store, WORKER, queue="leaves")
    await store.cancel_job("leaves", leaf.id)
    await finish(store, Fail(leaf, "Job cancelled"))
    assert await states(store, [middle, root]) == [FAILED, FAILED]


async def test_an_active_parent_is_not_failed(store: AsyncStore) -> None:
    _, middle, _ = await tree(store, leaves=2)
    await store.notify_child_completed("middles", middle.id)
    await store.notify_child_completed("middles", middle.id)
    running = await take(store, queue="middles")
    await fail_a_leaf(store)
    assert await read(store, running) == running


async def test_a_waiting_parent_is_failed_by_a_late_child(store: AsyncStore) -> None:
    root, middle, _ = await tree(store)
    assert await store.notify_child_completed("middles", middle.id) is WAITING
    await fail_a_leaf(store)
    assert await states(store, [middle, root]) == [FAILED, FAILED]


async def test_a_repeated_outcome_is_told_once(store: AsyncStore) -> None:
    _, middle, _ = await tree(store, middle_policy="ignore", leaves=3)
    leaf = await take(store, queue="leaves")
    for _ in range(3):
        await finish(store, Fail(leaf, "boom"))
    assert (await read(store, middle)).pending_children_count == 2
