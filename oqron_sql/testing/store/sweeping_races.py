"""Recovery, flows and obliteration with others at work."""

from __future__ import annotations

import asyncio
from collections import Counter

from oqron_sql.contract import (
    AsyncStore,
    Complete,
    Fail,
    Job,
    JobState,
    Outcome,
)
from oqron_sql.errors import QueueActive
from oqron_sql.testing.harness import CALLERS, StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    QUEUE,
    callers,
    fetch,
    finish,
    job,
    leased,
    read,
    save_new,
    states,
    take,
    together,
    with_parent,
)


@requires("movable_clock")
async def test_many_sweepers_recover_each_job_once(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """W5"""
    stores = await callers(store, harness)
    await store.save_bulk(QUEUE, [job() for _ in range(20)])
    await store.fetch_jobs(QUEUE, "dead", MINUTE, 20)
    await harness.advance(HOUR)
    told = await together(each.recover_lost(QUEUE, limit=5) for each in stores)
    told.append(await store.recover_lost(QUEUE))
    recovered = Counter(each.job_id for part in told for each in part)
    assert (len(recovered), set(recovered.values())) == (20, {1})
    waiting = await store.list_jobs(QUEUE, JobState.WAITING)
    assert [each.lost_count for each in waiting] == [1] * 20


@requires("movable_clock")
async def test_sweepers_leave_a_new_lease_alone(store: AsyncStore, harness: StoreHarness) -> None:
    """W5: upstream's second sweeper takes back what a third worker has leased since."""
    stores = await callers(store, harness)
    for _ in range(5):
        made = await leased(store)
        await harness.advance(HOUR)

        async def sweep_and_fetch(caller: AsyncStore) -> Job | None:
            await caller.recover_lost(QUEUE)
            return await fetch(caller)

        found = [each for each in await together(map(sweep_and_fetch, stores)) if each]
        assert [(each.id, each.lease) for each in found] == [(made.id, 2)]
        assert (await read(store, made)).lost_count == 1
        await finish(store, Complete(found[0]))


@requires("movable_clock")
async def test_finishing_late_and_recovering_exclude_each_other(
    store: AsyncStore, harness: StoreHarness
) -> None:
    stores = await callers(store, harness)
    for _ in range(8):
        made = await leased(store)
        await harness.advance(HOUR)
        settled, recovered = await asyncio.gather(
            finish(stores[0], Complete(made)), stores[1].recover_lost(QUEUE)
        )
        found = await read(store, made)
        if settled.lost:
            assert [each.job_id for each in recovered] == [made.id]
            assert (found.state, found.lost_count) == (JobState.WAITING, 1)
        else:
            assert recovered == []
            assert (found.state, found.lost_count) == (JobState.COMPLETED, 0)
        await store.drain(QUEUE)


@requires("movable_clock")
async def test_extending_late_and_recovering_exclude_each_other(
    store: AsyncStore, harness: StoreHarness
) -> None:
    stores = await callers(store, harness)
    for _ in range(8):
        made = await leased(store)
        await harness.advance(HOUR)
        (extension,), recovered = await asyncio.gather(
            stores[0].extend_locks(QUEUE, [made], MINUTE), stores[1].recover_lost(QUEUE)
        )
        if extension.skipped:  # the sweep had the row: what came of it, the next call tells
            (extension,) = await stores[0].extend_locks(QUEUE, [made], MINUTE)
        assert not extension.skipped
        assert extension.lost is bool(recovered)
        assert (await read(store, made)).lost_count == len(recovered)
        await store.obliterate(QUEUE, force=True)


async def test_obliterating_and_fetching_exclude_each_other(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """Upstream's PostgreSQL store lets a fetch slip in, and its job vanishes."""
    stores = await callers(store, harness)

    async def obliterate(caller: AsyncStore) -> bool:
        try:
            await caller.obliterate(QUEUE)
        except QueueActive:
            return False
        return True

    for _ in range(10):
        (made,) = await save_new(store, "job")
        gone, found = await asyncio.gather(
            obliterate(stores[0]), together(fetch(each) for each in stores[1:4])
        )
        held = [each for each in found if each is not None]
        left = await states(store, [made])
        if gone:
            assert (held, left) == ([], [None])
        else:
            assert ([each.id for each in held], left) == ([made.id], [JobState.ACTIVE])
        await store.obliterate(QUEUE, force=True)


async def test_children_that_end_at_once_all_count(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """W6 W7"""
    stores = await callers(store, harness)
    parent = job("parent")
    await store.save_flow(
        with_parent(parent, *(job(queue=f"children-{n}") for n in range(CALLERS)))
    )
    held = [await take(store, queue=f"children-{n}") for n in range(CALLERS)]
    await together(
        finish(caller, Complete(child)) for caller, child in zip(stores, held, strict=True)
    )
    found = await read(store, parent)
    assert (found.state, found.pending_children_count) == (JobState.WAITING, 0)


async def test_a_child_told_of_many_times_counts_once(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """W6"""
    stores = await callers(store, harness)
    parent, child = job("parent"), job(queue="children")
    await store.save_flow(with_parent(parent, child, job(queue="children")))
    held = await take(store, queue="children")
    telling = [each.notify_child_completed(QUEUE, parent.id, child_id=child.id) for each in stores]
    await asyncio.gather(together(telling), finish(store, Complete(held)))
    found = await read(store, parent)
    assert (found.state, found.pending_children_count) == (JobState.WAITING_CHILDREN, 1)


async def test_trees_end_upward_whoever_comes_first(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """W7: some children complete while another fails; locks are taken in opposite orders."""
    stores = await callers(store, harness)
    for _ in range(5):
        root, middle = job("root", queue="roots"), job("middle", queue="middles")
        leaves = [job(queue=f"leaves-{n}") for n in range(4)]
        with_parent(root, middle)
        await store.save_flow([*with_parent(middle, *leaves), root])
        held = [await take(store, queue=each.queue_name) for each in leaves]
        outcomes: list[Outcome] = [Complete(each) for each in held[:3]]
        outcomes.append(Fail(held[3], "boom"))
        await asyncio.gather(
            *(finish(caller, outcome) for caller, outcome in zip(stores, outcomes, strict=False)),
            stores[4].remove_job("leaves-0", held[0].id),
        )
        assert await states(store, [middle, root]) == [JobState.FAILED, JobState.FAILED]


async def test_families_in_one_queue_end_together(store: AsyncStore, harness: StoreHarness) -> None:
    """Batches that touch the same parents in different orders."""
    stores = await callers(store, harness)
    parents = [job(f"parent-{n}", queue="parents") for n in range(3)]
    for parent in parents:
        await store.save_flow(with_parent(parent, *(job() for _ in range(CALLERS))))
    held = await store.fetch_jobs(QUEUE, "worker", MINUTE, 3 * CALLERS)
    batches = [held[n::CALLERS] for n in range(CALLERS)]
    for n, batch in enumerate(batches):
        batch.sort(key=lambda each: each.parent_id or "", reverse=n % 2 == 0)
    await together(
        caller.finish_jobs(QUEUE, [Complete(each) for each in batch])
        for caller, batch in zip(stores, batches, strict=True)
    )
    assert await states(store, parents) == [JobState.WAITING] * 3
