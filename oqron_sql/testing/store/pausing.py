"""Names that are not handed out."""

from __future__ import annotations

from oqron_sql.contract import AsyncStore, Complete, JobState
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    MINUTE,
    QUEUE,
    WORKER,
    fetch,
    finish,
    leased,
    save_new,
    take_names,
)


async def test_a_paused_name_is_passed_over(store: AsyncStore) -> None:
    """[11]"""
    await save_new(store, "mail", "report")
    await store.pause_job_name(QUEUE, "mail")
    assert await store.get_paused_job_names(QUEUE) == ["mail"]
    assert await take_names(store, 1) == ["report"]
    assert await fetch(store) is None
    assert await fetch(store, job_name="mail") is None
    await store.resume_job_name(QUEUE, "mail")
    assert await store.get_paused_job_names(QUEUE) == []
    assert await take_names(store, 1) == ["mail"]


async def test_a_paused_queue_hands_out_nothing(store: AsyncStore) -> None:
    """[61]"""
    await save_new(store, "mail")
    await store.pause_job_name(QUEUE, "__all__")
    assert await fetch(store) is None
    assert await fetch(store, group_concurrency=1) is None
    assert await store.fetch_jobs(QUEUE, WORKER, MINUTE, 5) == []
    assert await store.get_paused_job_names(QUEUE) == ["__all__"]
    await store.resume_job_name(QUEUE, "__all__")
    assert await take_names(store, 1) == ["mail"]


async def test_pausing_is_idempotent_and_sorted(store: AsyncStore) -> None:
    for name in ("b", "a", "__all__", "b"):
        await store.pause_job_name(QUEUE, name)
    assert await store.get_paused_job_names(QUEUE) == ["__all__", "a", "b"]
    for name in ("b", "b", "never"):
        await store.resume_job_name(QUEUE, name)
    assert await store.get_paused_job_names(QUEUE) == ["__all__", "a"]


async def test_a_name_and_the_queue_are_paused_apart(store: AsyncStore) -> None:
    await save_new(store, "mail", "report")
    for name in ("mail", "__all__"):
        await store.pause_job_name(QUEUE, name)
    await store.resume_job_name(QUEUE, "mail")
    assert await fetch(store) is None
    await store.pause_job_name(QUEUE, "mail")
    await store.resume_job_name(QUEUE, "__all__")
    assert await take_names(store, 1) == ["report"]
    assert await fetch(store) is None


async def test_pausing_is_per_queue(store: AsyncStore) -> None:
    await save_new(store, "mail", queue="elsewhere")
    for name in ("mail", "__all__"):
        await store.pause_job_name(QUEUE, name)
    assert await store.get_paused_job_names("elsewhere") == []
    assert await take_names(store, 1, queue="elsewhere") == ["mail"]


async def test_a_paused_name_is_passed_over_in_groups(store: AsyncStore) -> None:
    await save_new(store, "mail", group=None)
    await save_new(store, "report")
    await store.pause_job_name(QUEUE, "mail")
    assert await take_names(store, 1, group_concurrency=1) == ["report"]
    assert await fetch(store, group_concurrency=1) is None


async def test_many_paused_jobs_do_not_hide_the_others(store: AsyncStore) -> None:
    await save_new(store, *["mail"] * 30, "report")
    await store.pause_job_name(QUEUE, "mail")
    assert await take_names(store, 1) == ["report"]


async def test_what_runs_goes_on(store: AsyncStore) -> None:
    made = await leased(store)
    await store.pause_job_name(QUEUE, "__all__")
    assert await store.extend_lock(QUEUE, made.id, MINUTE)
    assert (await finish(store, Complete(made))).state is JobState.COMPLETED


async def test_pausing_does_not_stop_promotion(store: AsyncStore) -> None:
    await save_new(store, "mail", delay=MINUTE)
    await store.pause_job_name(QUEUE, "__all__")
    assert await store.promote_jobs(QUEUE) == 1
    assert await fetch(store) is None


@requires("shared_data")
async def test_every_instance_knows_what_is_paused(
    store: AsyncStore, harness: StoreHarness
) -> None:
    other = await harness.another()
    await save_new(store, "mail")
    await fetch(other, queue="warm-up")
    await store.pause_job_name(QUEUE, "mail")
    assert await other.get_paused_job_names(QUEUE) == ["mail"]
    assert await fetch(other) is None
