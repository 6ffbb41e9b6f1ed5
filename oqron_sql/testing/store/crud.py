"""Saving, reading and removing single jobs."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from oqron_sql.contract import (
    AsyncStore,
    AttemptRecord,
    Backoff,
    Deduplication,
    Group,
    Job,
    JobOptions,
    JobState,
    Repeat,
)
from oqron_sql.errors import InvalidInput, PayloadError
from oqron_sql.testing.steps import (
    MINUTE,
    PAST,
    QUEUE,
    as_saved,
    contents,
    fetch,
    job,
    leased,
    read,
    save,
    save_new,
    take_names,
)

EVERY_OPTION = JobOptions(
    attempts=5,
    backoff=Backoff(type="custom", delay=timedelta(milliseconds=1500), strategy="fibonacci"),
    delay=MINUTE,
    repeat=Repeat(cron="0 3 * * *", limit=7, start=PAST, end=PAST + MINUTE, tz="Europe/Vienna"),
    priority=-3,
    lifo=True,
    deduplication=Deduplication(key="once", ttl=timedelta(hours=2)),
    remove_on_complete=timedelta(days=7),
    remove_on_fail=100,
    timeout=timedelta(seconds=30),
    job_id="chosen",
    fail_parent_on_child_failure="ignore",
    group=Group(id="tenant", max_size=9),
)


def every_member(state: JobState) -> Job:
    """Return a job of which no member has its default."""
    return Job(
        name="all",
        queue_name=QUEUE,
        id=f"every-member-{state}",
        data={"a": [1, None, {"b": True}]},
        state=state,
        attempts_made=2,
        progress=33.5,
        returnvalue={"ok": False},
        failed_reason="earlier",
        opts=EVERY_OPTION,
        deduplication_key=f"once-{state}",
        logs=("one", "two"),
        stacktrace=("first", "second"),
        attempt_logs=(
            AttemptRecord(
                attempt=1,
                started_at=PAST,
                ended_at=PAST + MINUTE,
                status="failed",
                error="boom",
                stacktrace="at line 1",
                logs=("said",),
            ),
            AttemptRecord(attempt=2, started_at=PAST + MINUTE),
        ),
        created_at=PAST,
        processed_at=PAST + 1 * MINUTE,
        completed_at=PAST + 2 * MINUTE,
        failed_at=PAST + 3 * MINUTE,
        cancelled_at=PAST + 4 * MINUTE,
        delay_until=PAST + 5 * MINUTE,
        parent_id="parent",
        parent_queue_name="parents",
        pending_children_count=2,
        children_ids=("c1", "c2"),
        group_id="tenant",
        discarded=True,
    )


async def test_a_saved_job_is_read_back(store: AsyncStore) -> None:
    """[2]"""
    made = job("send", {"to": "a@b.c"})
    assert await store.save_job(QUEUE, made) == made.id
    found = await read(store, made)
    assert (found.name, found.data, found.state) == ("send", {"to": "a@b.c"}, JobState.WAITING)
    assert found == as_saved(made, found)
    assert found.created_at is not None
    assert found.created_at.utcoffset() is not None
    assert isinstance(found.seq, int)


async def test_every_member_is_stored_as_given(store: AsyncStore) -> None:
    for state in JobState:
        made = every_member(state)
        if state is JobState.ACTIVE:
            made.locked_by, made.lock_until = "somebody", PAST + 6 * MINUTE
        await save(store, made)
        found = await read(store, made)
        assert dataclasses.asdict(found) == dataclasses.asdict(as_saved(made, found))
        assert [each.id for each in (await contents(store))[state]] == [made.id]


async def test_dates_inside_options_stay_dates(store: AsyncStore) -> None:
    """W9: upstream's SQL stores return them as text, and a series never starts or ends."""
    made = job("report", repeat=Repeat(every=MINUTE, start=PAST, end=PAST + MINUTE))
    await save(store, made)
    repeat = (await read(store, made)).opts.repeat
    assert repeat is not None
    assert (repeat.start, repeat.end) == (PAST, PAST + MINUTE)


async def test_a_named_backoff_is_kept(store: AsyncStore) -> None:
    """W11: a strategy is named, as a function could not be stored."""
    backoff = Backoff(type="custom", strategy="fibonacci")
    made = job(backoff=backoff)
    await save(store, made)
    assert (await read(store, made)).opts.backoff == backoff


async def test_retention_keeps_its_meaning(store: AsyncStore) -> None:
    for keep in (False, True, 0, 1, 100, timedelta(0), timedelta(days=1)):
        made = job(remove_on_complete=keep, remove_on_fail=keep)
        await save(store, made)
        opts = (await read(store, made)).opts
        for found in (opts.remove_on_complete, opts.remove_on_fail):
            assert (type(found), found) == (type(keep), keep)


async def test_a_custom_id_is_the_id(store: AsyncStore) -> None:
    """[30]"""
    made = job(job_id="order-4711")
    assert await save(store, made) == ["order-4711"]
    assert (await read(store, made)).id == "order-4711"


async def test_an_id_that_exists_is_returned_and_nothing_written(store: AsyncStore) -> None:
    """W20: upstream's stores replace the job, raise, or hand it out twice."""
    first, other = job("first", 1, job_id="same"), job("other")
    await save(store, first, other)
    before = await contents(store)
    assert await save(store, job("second", 2, job_id="same", priority=-1)) == ["same"]
    assert await store.save_bulk(QUEUE, [job("third", 3, job_id="same")]) == ["same"]
    assert await contents(store) == before
    assert await take_names(store, 2) == ["first", "other"]
    assert await fetch(store) is None


async def test_saving_the_same_job_twice_makes_one(store: AsyncStore) -> None:
    made = job()
    assert await save(store, made, made) == [made.id, made.id]
    assert await store.save_bulk(QUEUE, [made, made]) == [made.id, made.id]
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 1


async def test_one_id_in_two_queues_is_two_jobs(store: AsyncStore) -> None:
    here, there = job(data=1, job_id="same"), job(data=2, job_id="same", queue="there")
    await save(store, here, there)
    assert [(await read(store, each)).data for each in (here, there)] == [1, 2]
    await store.remove_job("there", "same")
    assert (await read(store, here)).data == 1


async def test_bulk_saves_in_order(store: AsyncStore) -> None:
    """[3]"""
    made = [job(name) for name in "abc"]
    assert await store.save_bulk(QUEUE, made) == [each.id for each in made]
    assert await store.count_jobs(QUEUE, JobState.WAITING) == 3
    assert await take_names(store, 3) == ["a", "b", "c"]


async def test_an_empty_bulk_is_fine(store: AsyncStore) -> None:
    """[53]"""
    assert await store.save_bulk(QUEUE, []) == []


async def test_one_bad_job_of_a_bulk_keeps_all_out(store: AsyncStore) -> None:
    bulk = [job("good"), job("bad", float("nan"))]
    with pytest.raises(PayloadError):
        await store.save_bulk(QUEUE, bulk)
    with pytest.raises(InvalidInput):
        await store.save_bulk(QUEUE, [job("good"), job("astray", queue="elsewhere")])
    assert await store.list_queues() == []


async def test_a_job_of_another_queue_is_refused(store: AsyncStore) -> None:
    astray = job(queue="elsewhere")
    with pytest.raises(InvalidInput):
        await store.save_job(QUEUE, astray)
    assert await store.list_queues() == []


async def test_what_was_returned_is_a_copy(store: AsyncStore) -> None:
    """[34]"""
    made = job(data={"nested": {"list": [1]}})
    await save(store, made)
    returned = await read(store, made)
    returned.data["nested"]["list"].append(2)
    returned.state = JobState.FAILED
    again = await read(store, made)
    assert again.data == {"nested": {"list": [1]}}
    assert again.state is JobState.WAITING


async def test_what_was_saved_is_a_copy(store: AsyncStore) -> None:
    """[34]"""
    made = job(data={"list": [1]})
    await save(store, made)
    made.data["list"].append(2)
    found = await read(store, made)
    assert found.data == {"list": [1]}
    value = {"list": [1]}
    await store.update_job(QUEUE, made.id, {"returnvalue": value})
    value["list"].append(2)
    assert (await read(store, made)).returnvalue == {"list": [1]}


async def test_an_unknown_job_reads_as_none(store: AsyncStore) -> None:
    """[50]"""
    (made,) = await save_new(store, "job")
    assert await store.get_job(QUEUE, "unknown") is None
    assert await store.get_job("elsewhere", made.id) is None


async def test_a_removed_job_is_gone(store: AsyncStore) -> None:
    """[5]"""
    kept, removed = await save_new(store, "kept", "removed")
    await store.remove_job(QUEUE, removed.id)
    assert await store.get_job(QUEUE, removed.id) is None
    assert (await read(store, kept)).name == "kept"


async def test_removing_an_unknown_job_is_fine(store: AsyncStore) -> None:
    """[51]"""
    await store.remove_job(QUEUE, "unknown")


async def test_an_active_job_can_be_removed(store: AsyncStore) -> None:
    running = await leased(store)
    await store.remove_job(QUEUE, running.id)
    assert await store.get_active_count(QUEUE) == 0


async def test_a_removed_id_can_be_saved_again(store: AsyncStore) -> None:
    await save(store, job("old", job_id="same"))
    await store.remove_job(QUEUE, "same")
    await save(store, job("new", job_id="same"))
    assert await take_names(store, 1) == ["new"]


async def test_a_job_is_found_without_its_queue(store: AsyncStore) -> None:
    """[89]"""
    made = job("send", {"x": 1}, queue="mail")
    await save(store, made)
    found = await store.find_job_by_id(made.id)
    assert found == await read(store, made)
    assert await store.find_job_by_id("unknown") is None


async def test_a_job_is_found_among_other_queues(store: AsyncStore) -> None:
    """[90]"""
    made = [job(queue=queue) for queue in ("first", "second", "third")]
    await save(store, *made)
    found = await store.find_job_by_id(made[1].id)
    assert found is not None
    assert found.queue_name == "second"
