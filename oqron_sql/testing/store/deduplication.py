"""One live job per key."""

from __future__ import annotations

from typing import Any

import pytest

from oqron_sql.contract import (
    AsyncStore,
    Complete,
    Deduplication,
    Fail,
    Job,
    JobState,
    Retry,
    hash_payload,
)
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MILLISECOND,
    MINUTE,
    QUEUE,
    SECOND,
    finish,
    job,
    now_of,
    read,
    save,
    take,
)

KEY = "the-key"


def keyed(name: str = "job", key: str = KEY, **options: Any) -> Job:
    """Return an unsaved job with a deduplication key; `ttl` is the key's."""
    ttl = options.pop("ttl", None)
    return job(name, deduplication=Deduplication(key=key, ttl=ttl), **options)


async def holder(store: AsyncStore, key: str = KEY, queue: str = QUEUE) -> str | None:
    """Return the id of the job that holds the key."""
    found = await store.find_by_deduplication_key(queue, key)
    return found.id if found else None


async def test_a_job_is_found_by_its_key(store: AsyncStore) -> None:
    """[12]"""
    made = keyed()
    await save(store, made)
    assert await store.find_by_deduplication_key(QUEUE, KEY) == await read(store, made)
    assert await holder(store, "another-key") is None
    assert await holder(store, queue="another-queue") is None


async def test_a_job_is_found_by_its_payload(store: AsyncStore) -> None:
    """[29]"""
    made = job(data={"b": 1, "a": [1.0]}, deduplication=Deduplication(hash=True))
    await save(store, made)
    assert await holder(store, hash_payload({"a": [1], "b": 1})) == made.id
    assert await holder(store, hash_payload({"a": [2], "b": 1})) is None


async def test_a_second_save_returns_the_first_job(store: AsyncStore) -> None:
    """[31]"""
    first = keyed("first")
    assert await save(store, first, keyed("second")) == [first.id, first.id]
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 1
    assert (await read(store, first)).name == "first"


async def test_keys_of_other_queues_and_absent_keys_do_not_matter(store: AsyncStore) -> None:
    made = [keyed(), keyed(queue="elsewhere"), keyed(key="other"), job(), job()]
    assert await save(store, *made) == [each.id for each in made]


async def test_a_bulk_knows_live_keys(store: AsyncStore) -> None:
    """[33]"""
    first, new = keyed(), keyed(key="new")
    await save(store, first)
    assert await store.save_bulk(QUEUE, [keyed(), new]) == [first.id, new.id]
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 2


async def test_the_first_of_a_key_in_a_bulk_wins(store: AsyncStore) -> None:
    one, other = keyed("first"), keyed("other", key="other")
    batch = [one, other, keyed("again"), keyed("again", key="other")]
    assert await store.save_bulk(QUEUE, batch) == [one.id, other.id, one.id, other.id]
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 2


async def test_a_flow_honours_keys(store: AsyncStore) -> None:
    """W22: upstream's SQL stores ignore them here."""
    first = keyed(queue="children")
    await save(store, first)
    parent = job("parent")
    assert await store.save_flow([keyed(queue="children"), parent]) == [first.id, parent.id]
    assert await store.count_jobs("children", JobState.WAITING) == 1


async def test_a_child_of_nobody_may_have_a_stand_in(store: AsyncStore) -> None:
    first, orphan = keyed(), keyed()
    orphan.parent_id, orphan.parent_queue_name = "not-yet", "nowhere"
    await save(store, first)
    assert await store.save_flow([orphan]) == [first.id]


@pytest.mark.parametrize("outcome", [Complete, Fail])
async def test_an_ended_job_frees_its_key(store: AsyncStore, outcome: type[Any]) -> None:
    """[54] [55]"""
    await save(store, keyed())
    running = await take(store)
    assert await holder(store) == running.id
    ended = Complete(running) if outcome is Complete else Fail(running, "boom")
    await finish(store, ended)
    assert await holder(store) is None
    fresh = keyed("fresh")
    assert await save(store, fresh) == [fresh.id]


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED])
async def test_a_job_ended_by_an_update_frees_its_key(store: AsyncStore, state: JobState) -> None:
    """[54] [55]"""
    made = keyed()
    await save(store, made)
    await store.update_job(QUEUE, made.id, {"state": state})
    assert await holder(store) is None
    fresh = keyed()
    assert await save(store, fresh) == [fresh.id]


async def test_a_removed_job_frees_its_key(store: AsyncStore) -> None:
    made = keyed()
    await save(store, made)
    await store.remove_job(QUEUE, made.id)
    assert await holder(store) is None
    fresh = keyed()
    assert await save(store, fresh) == [fresh.id]


async def test_emptying_a_queue_frees_keys(store: AsyncStore) -> None:
    for empty in (store.drain, store.obliterate):
        await save(store, keyed())
        await empty(QUEUE)
        assert await holder(store) is None
    fresh = keyed()
    assert await save(store, fresh) == [fresh.id]


async def test_every_live_job_holds_its_key(store: AsyncStore) -> None:
    delayed, waiting = keyed(key="delayed", delay=MINUTE), keyed(key="waiting-children")
    waiting.state = JobState.WAITING_CHILDREN
    await save(store, keyed(), delayed, waiting)
    running = await take(store)
    assert await save(store, keyed(), keyed(key="delayed"), keyed(key="waiting-children")) == [
        running.id,
        delayed.id,
        waiting.id,
    ]
    await finish(store, Retry(running, "again", MINUTE))
    assert await save(store, keyed()) == [running.id]


async def test_a_finished_job_that_is_saved_holds_nothing(store: AsyncStore) -> None:
    old, fresh = keyed(), keyed()
    old.state = JobState.COMPLETED
    assert await save(store, old, fresh) == [old.id, fresh.id]
    assert await holder(store) == fresh.id


async def test_an_expired_key_is_not_found(store: AsyncStore) -> None:
    """[25]"""
    made = keyed(ttl=MILLISECOND)
    made.created_at = await now_of(store) - 100 * MILLISECOND
    await save(store, made)
    assert await holder(store) is None


async def test_a_key_is_found_while_its_ttl_runs(store: AsyncStore) -> None:
    """[26]"""
    made = keyed(ttl=MINUTE)
    made.created_at = await now_of(store) - 50 * SECOND
    await save(store, made)
    assert await holder(store) == made.id
    assert await save(store, keyed()) == [made.id]


@requires("movable_clock")
async def test_the_ttl_counts_by_the_store_s_clock(
    store: AsyncStore, harness: StoreHarness
) -> None:
    made, later = keyed(ttl=HOUR), keyed(ttl=HOUR)
    await save(store, made)
    await harness.advance(HOUR - MINUTE)
    assert await save(store, later) == [made.id]
    await harness.advance(2 * MINUTE)
    assert await holder(store) is None
    assert await save(store, later) == [later.id]


async def expired_and_heir(store: AsyncStore) -> tuple[Job, Job]:
    """Save a job whose TTL is over, and one that takes its key."""
    old, heir = keyed("old", ttl=MINUTE), keyed("heir")
    old.created_at = await now_of(store) - 61 * SECOND
    assert await save(store, old, heir) == [old.id, heir.id]
    return old, heir


async def test_an_expired_key_is_taken_over(store: AsyncStore) -> None:
    """[32]"""
    old, heir = await expired_and_heir(store)
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 2
    assert await holder(store) == heir.id
    assert await save(store, keyed()) == [heir.id]
    assert (await read(store, old)).deduplication_key == KEY


async def test_a_predecessor_does_not_free_the_key(store: AsyncStore) -> None:
    """W21: upstream's Redis store lets any finished job with the key free it."""
    old, heir = await expired_and_heir(store)
    assert (await take(store)).id == old.id
    await store.update_job(QUEUE, old.id, {"state": JobState.COMPLETED})
    assert await holder(store) == heir.id
    await store.remove_job(QUEUE, old.id)
    assert await save(store, keyed()) == [heir.id]


async def test_a_retried_job_takes_its_key_back(store: AsyncStore) -> None:
    await save(store, keyed())
    old = await take(store)
    await finish(store, Fail(old, "boom"))
    assert await store.retry_jobs(QUEUE, JobState.FAILED) == 1
    assert await holder(store) == old.id
    assert await save(store, keyed()) == [old.id]


async def test_a_job_put_back_takes_its_key_back(store: AsyncStore) -> None:
    made = keyed()
    await save(store, made)
    await store.update_job(QUEUE, made.id, {"state": JobState.COMPLETED})
    await store.update_job(QUEUE, made.id, {"state": JobState.WAITING})
    assert await save(store, keyed()) == [made.id]


async def test_a_taken_key_is_not_taken_back(store: AsyncStore) -> None:
    old, heir = keyed("old"), keyed("heir")
    await save(store, old)
    await store.update_job(QUEUE, old.id, {"state": JobState.FAILED})
    await save(store, heir)
    assert await store.retry_jobs(QUEUE, JobState.FAILED) == 1
    assert await holder(store) == heir.id
    await store.update_job(QUEUE, heir.id, {"state": JobState.COMPLETED})
    assert await holder(store) is None
    fresh = keyed("fresh")
    assert await save(store, fresh) == [fresh.id]
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 2


async def test_the_first_of_several_retried_takes_the_key(store: AsyncStore) -> None:
    made = [keyed(name) for name in "abc"]
    for each in made:
        await save(store, each)
        await store.update_job(QUEUE, each.id, {"state": JobState.FAILED})
    assert await store.retry_jobs(QUEUE, JobState.FAILED) == 3
    assert await holder(store) == made[0].id
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 3


async def test_a_key_can_be_changed(store: AsyncStore) -> None:
    made = keyed()
    await save(store, made)
    await store.update_job(QUEUE, made.id, {"deduplication_key": "new"})
    assert (await holder(store), await holder(store, "new")) == (None, made.id)
    await store.update_job(QUEUE, made.id, {"deduplication_key": None})
    assert await holder(store, "new") is None
    fresh = [keyed(), keyed(key="new")]
    assert await save(store, *fresh) == [each.id for each in fresh]


async def test_a_key_that_is_held_cannot_be_taken(store: AsyncStore) -> None:
    first, second = keyed(), keyed(key="second")
    await save(store, first, second)
    await store.update_job(QUEUE, second.id, {"deduplication_key": KEY})
    assert (await holder(store), await holder(store, "second")) == (first.id, None)
    await store.remove_job(QUEUE, second.id)
    assert await holder(store) == first.id


async def test_a_finished_job_gets_no_key(store: AsyncStore) -> None:
    made = job()
    await save(store, made)
    await store.update_job(QUEUE, made.id, {"state": JobState.FAILED, "deduplication_key": KEY})
    assert await holder(store) is None
