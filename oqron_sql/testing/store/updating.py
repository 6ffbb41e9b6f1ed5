"""Changing stored jobs."""

from __future__ import annotations

from typing import cast

import pytest

from oqron_sql.contract import (
    AsyncStore,
    AttemptRecord,
    Complete,
    Fail,
    JobOptions,
    JobState,
    JobUpdate,
    StoreEvent,
)
from oqron_sql.errors import InvalidInput, InvalidJobState, JobNotFound
from oqron_sql.testing.steps import (
    MINUTE,
    PAST,
    QUEUE,
    SECOND,
    completed,
    contents,
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

EVERY_UPDATE: JobUpdate = {
    "data": {"new": [None]},
    "attempts_made": 3,
    "lost_count": 2,
    "progress": 66.6,
    "returnvalue": "text",
    "failed_reason": "why",
    "opts": JobOptions(attempts=9, priority=4),
    "deduplication_key": "key",
    "logs": ("a", "b"),
    "stacktrace": ("trace",),
    "attempt_logs": (AttemptRecord(attempt=1, started_at=PAST, status="completed"),),
    "processed_at": PAST,
    "completed_at": PAST + MINUTE,
    "failed_at": PAST + 2 * MINUTE,
    "cancelled_at": PAST + 3 * MINUTE,
    "delay_until": PAST + 4 * MINUTE,
    "lock_until": PAST + 5 * MINUTE,
    "locked_by": "somebody",
    "parent_id": "parent",
    "parent_queue_name": "parents",
    "pending_children_count": 1,
    "children_ids": ("child",),
    "group_id": "group",
    "discarded": True,
}


async def test_one_member_is_updated(store: AsyncStore) -> None:
    """[4]"""
    (made,) = await save_new(store, "job")
    before = await read(store, made)
    await store.update_job(QUEUE, made.id, {"progress": 50})
    after = await read(store, made)
    assert after.progress == 50
    after.progress = 0
    assert after == before


async def test_every_member_can_be_updated(store: AsyncStore) -> None:
    """W12: among them the one that upstream's SQLite store cannot write, `discarded`."""
    made = await leased(store)
    assert set(EVERY_UPDATE) | {"state"} == set(JobUpdate.__annotations__)
    await store.update_job(QUEUE, made.id, EVERY_UPDATE)
    found = await read(store, made)
    assert {name: getattr(found, name) for name in EVERY_UPDATE} == EVERY_UPDATE
    assert (found.state, found.lease, found.name) == (JobState.ACTIVE, made.lease, made.name)


async def test_none_clears_and_absent_does_not(store: AsyncStore) -> None:
    made = await leased(store)
    await store.update_job(QUEUE, made.id, EVERY_UPDATE)
    cleared = [name for name, value in EVERY_UPDATE.items() if value and name.endswith("_at")]
    cleared += ["data", "returnvalue", "failed_reason", "deduplication_key", "delay_until"]
    cleared += ["lock_until", "locked_by", "parent_id", "parent_queue_name", "group_id"]
    await store.update_job(QUEUE, made.id, cast(JobUpdate, dict.fromkeys(cleared)))
    found = await read(store, made)
    for name, value in EVERY_UPDATE.items():
        assert getattr(found, name) == (None if name in cleared else value), name


async def test_what_an_attempt_says_can_always_be_stored(store: AsyncStore) -> None:
    """As it is of logs: whoever copies a job copies its failures, too."""
    text = "half \ud800 and nul \x00"
    attempt = AttemptRecord(attempt=1, error=text, stacktrace=text, logs=(text,))
    made = job("copied")
    made.attempt_logs = [attempt]
    await save(store, made)
    (saved,) = (await read(store, made)).attempt_logs
    assert saved.error is not None
    assert saved.error.startswith("half ")
    assert (saved.stacktrace, saved.logs) == (saved.error, (saved.error,))
    await store.update_job(QUEUE, made.id, {"attempt_logs": [attempt, attempt]})
    assert (await read(store, made)).attempt_logs == (saved, saved)
    naive = AttemptRecord(attempt=1, started_at=PAST.replace(tzinfo=None))
    with pytest.raises(InvalidInput):
        await store.update_job(QUEUE, made.id, {"attempt_logs": [naive]})


async def test_updating_an_unknown_job_is_fine(store: AsyncStore) -> None:
    """[52]"""
    await store.update_job(QUEUE, "unknown", {"progress": 50})
    assert await store.list_queues() == []


async def test_a_member_that_cannot_be_updated_is_refused(store: AsyncStore) -> None:
    (made,) = await save_new(store, "job")
    before = await contents(store)
    for name in ("id", "name", "queue_name", "created_at", "lease", "seq", "stat"):
        updates = {"progress": 50, name: "x"}
        with pytest.raises(InvalidInput, match=name):
            await store.update_job(QUEUE, made.id, cast(JobUpdate, updates))
    assert await contents(store) == before


async def test_the_expected_state_is_enough(store: AsyncStore) -> None:
    (made,) = await save_new(store, "job")
    await store.update_job(QUEUE, made.id, {"progress": 1}, expected_state=JobState.WAITING)
    either = [JobState.ACTIVE, JobState.WAITING]
    await store.update_job(QUEUE, made.id, {"progress": 2}, expected_state=either)
    assert (await read(store, made)).progress == 2


async def test_another_state_is_refused(store: AsyncStore) -> None:
    (made,) = await save_new(store, "job")
    before = await contents(store)
    expected = (JobState.ACTIVE, JobState.DELAYED)
    updates: tuple[JobUpdate, ...] = ({"progress": 50}, {"state": JobState.FAILED}, {})
    for each in updates:
        with pytest.raises(InvalidJobState) as refused:
            await store.update_job(QUEUE, made.id, each, expected_state=expected)
        error = refused.value
        assert (error.job_id, error.current) == (made.id, "waiting")
        assert error.expected == ("active", "delayed")
    assert await contents(store) == before


async def test_an_unknown_job_is_in_no_expected_state(store: AsyncStore) -> None:
    """W22: upstream's stores disagree."""
    with pytest.raises(InvalidJobState) as refused:
        await store.update_job(QUEUE, "no", {"progress": 1}, expected_state=JobState.WAITING)
    error = refused.value
    assert (error.job_id, error.current, error.expected) == ("no", "unknown", ("waiting",))


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED])
async def test_ending_a_job_says_when(store: AsyncStore, state: JobState) -> None:
    made = await leased(store)
    before = await now_of(store)
    await store.update_job(QUEUE, made.id, {"state": state})
    found = await read(store, made)
    ended = found.completed_at if state is JobState.COMPLETED else found.failed_at
    assert ended is not None
    assert before <= ended <= await now_of(store)
    assert (found.locked_by, found.lock_until) == (None, None)


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED])
async def test_an_instant_that_is_given_is_taken(store: AsyncStore, state: JobState) -> None:
    (made,) = await save_new(store, "job")
    updates: JobUpdate = {"state": state, "completed_at": PAST, "failed_at": PAST}
    await store.update_job(QUEUE, made.id, updates)
    found = await read(store, made)
    assert (found.completed_at, found.failed_at) == (PAST, PAST)


async def test_a_job_made_delayed_is_due(store: AsyncStore) -> None:
    now_due, later_due = await save_new(store, "now", "later")
    before = await now_of(store)
    later = before + MINUTE
    await store.update_job(QUEUE, now_due.id, {"state": JobState.DELAYED})
    updates: JobUpdate = {"state": JobState.DELAYED, "delay_until": later}
    await store.update_job(QUEUE, later_due.id, updates)
    due = (await read(store, now_due)).delay_until
    assert due is not None
    assert before <= due <= await now_of(store)
    found = (await read(store, later_due)).delay_until
    assert found is not None
    assert abs(found - later) < SECOND / 1000
    assert await fetch(store) is None


async def test_leaving_active_gives_up_the_lock(store: AsyncStore) -> None:
    for state in set(JobState) - {JobState.ACTIVE}:
        made = await leased(store)
        await store.update_job(QUEUE, made.id, {"state": state})
        found = await read(store, made)
        assert (found.state, found.locked_by, found.lock_until) == (state, None, None)
        assert found.lease == made.lease
        await store.obliterate(QUEUE)


async def test_only_an_active_job_has_an_owner(store: AsyncStore) -> None:
    for state in set(JobState) - {JobState.ACTIVE}:
        made = await leased(store)
        await store.update_job(QUEUE, made.id, {"state": state, "locked_by": "somebody"})
        assert (await read(store, made)).locked_by is None
        await store.update_job(QUEUE, made.id, {"locked_by": "somebody"})
        found = await read(store, made)
        assert (found.state, found.locked_by, found.lease) == (state, None, made.lease)
        before = await contents(store)
        assert (await finish(store, Fail(made, "late"))).lost is (state is not JobState.FAILED)
        assert await contents(store) == before
        await store.obliterate(QUEUE)


@pytest.mark.parametrize("ended", [False, True])
async def test_an_owner_that_is_given_has_a_lease_of_its_own(
    store: AsyncStore, ended: bool
) -> None:
    made = await leased(store)
    if ended:
        await finish(store, Complete(made, "done"))
    else:
        await store.release_lock(QUEUE, made.id)
    updates: JobUpdate = {"state": JobState.ACTIVE, "locked_by": "somebody"}
    await store.update_job(QUEUE, made.id, updates)
    found = await read(store, made)
    assert (found.state, found.locked_by, found.lease) == (
        JobState.ACTIVE,
        "somebody",
        made.lease + 1,
    )
    assert (await finish(store, Complete(made, "done"))).lost
    assert (await finish(store, Complete(found, "again"))).state is JobState.COMPLETED
    assert (await read(store, made)).returnvalue == "again"


async def test_a_job_put_back_keeps_its_place(store: AsyncStore) -> None:
    """[71] also: what was put back to waiting can be fetched."""
    first, _ = await save_new(store, "first", "second")
    assert (await take(store)).name == "first"
    await store.update_job(QUEUE, first.id, {"state": JobState.WAITING})
    assert await take_names(store, 2) == ["first", "second"]
    assert (await read(store, first)).lease == 2


async def test_a_new_priority_changes_the_order(store: AsyncStore) -> None:
    """[71]"""
    low, _ = await save_new(store, "was-last", "was-first", priority=5)
    await store.update_job(QUEUE, low.id, {"opts": JobOptions(priority=9)})
    assert await take_names(store, 2) == ["was-first", "was-last"]
    await save_new(store, "third", "fourth")
    (_, fourth) = (await contents(store))[JobState.WAITING]
    await store.update_job(QUEUE, fourth.id, {"opts": JobOptions(priority=-1)})
    assert await take_names(store, 2) == ["fourth", "third"]


async def test_cancelled_at_is_stored_to_the_millisecond(store: AsyncStore) -> None:
    """[62]"""
    (made,) = await save_new(store, "job")
    assert (await read(store, made)).cancelled_at is None
    await store.update_job(QUEUE, made.id, {"cancelled_at": PAST})
    assert (await read(store, made)).cancelled_at == PAST


async def test_updating_publishes_nothing(store: AsyncStore) -> None:
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    made = await completed(store)
    await store.update_job(QUEUE, made.id, {"state": JobState.WAITING})
    assert seen == []


async def test_log_lines_are_appended_in_order(store: AsyncStore) -> None:
    """W19"""
    made = job()
    made.logs = ["saved"]
    await save(store, made)
    await store.append_logs(QUEUE, made.id, ["one", "two"])
    await store.append_logs(QUEUE, made.id, [])
    await store.append_logs(QUEUE, made.id, ["three"])
    assert (await read(store, made)).logs == ("saved", "one", "two", "three")
    await store.update_job(QUEUE, made.id, {"logs": ["only"]})
    await store.append_logs(QUEUE, made.id, ["after"])
    assert (await read(store, made)).logs == ("only", "after")


async def test_an_unknown_job_has_no_log(store: AsyncStore) -> None:
    with pytest.raises(JobNotFound) as refused:
        await store.append_logs(QUEUE, "unknown", ["line"])
    assert (refused.value.queue, refused.value.job_id) == (QUEUE, "unknown")
