"""The room that a group has for waiting jobs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from oqron_sql.contract import AsyncStore, Deduplication, Group, Job, JobState
from oqron_sql.errors import GroupFull
from oqron_sql.testing.harness import StoreHarness
from oqron_sql.testing.steps import MINUTE, QUEUE, callers, job, save, take


def small(name: str = "job", **options: Any) -> Job:
    """Return a job of a group in which two may wait."""
    return job(name, group=Group(id="small", max_size=2), **options)


async def test_no_more_wait_in_a_group_than_it_has_room_for(store: AsyncStore) -> None:
    first, second = small("first"), small("second")
    await save(store, first, second, job(group=Group(id="small")), job(group=Group(id="other")))
    with pytest.raises(GroupFull, match="'small' of queue 'test-queue' is full: 2 jobs") as full:
        await store.save_job(QUEUE, small())
    assert (full.value.queue, full.value.group, full.value.max_size) == (QUEUE, "small", 2)
    for saving in (store.save_bulk(QUEUE, [job("good"), small()]), store.save_flow([small()])):
        with pytest.raises(GroupFull):
            await saving
    assert (await store.get_job_counts(QUEUE))[JobState.WAITING] == 4
    # What is there already, or later, needs no room.
    assert await store.save_job(QUEUE, first) == first.id
    await store.save_job(QUEUE, small(delay=MINUTE))
    await store.remove_job(QUEUE, first.id)
    await take(store)
    await save(store, small("now there is room"))


async def test_a_job_that_another_stands_for_needs_no_room(store: AsyncStore) -> None:
    key = Deduplication(key="once")
    await save(store, small(), small(deduplication=key))
    assert len(set(await store.save_bulk(QUEUE, [small(deduplication=key)]))) == 1
    assert await store.get_waiting_group_count(QUEUE, "small") == 2
    with pytest.raises(GroupFull):
        await store.save_bulk(QUEUE, [small(deduplication=key), small()])


async def test_the_room_of_a_group_is_exact(store: AsyncStore, harness: StoreHarness) -> None:
    """Many save at once; those that were refused were refused alone."""
    stores = await callers(store, harness)
    made = await asyncio.gather(
        *(each.save_job(QUEUE, small()) for each in stores), return_exceptions=True
    )
    assert sum(isinstance(each, GroupFull) for each in made) == len(stores) - 2
    assert sum(isinstance(each, str) for each in made) == 2
    assert await store.get_waiting_group_count(QUEUE, "small") == 2
