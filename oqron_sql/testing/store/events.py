"""Events within the process."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from oqron_sql.contract import AsyncStore, Complete, EventType, Job, JobState, StoreEvent
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import MINUTE, QUEUE, finish, job, leased, read, save, save_new

EVENT = StoreEvent(type=EventType.JOB_WAITING, queue_name=QUEUE, job_id="j", data={"x": 1})


async def test_an_event_arrives_before_publish_returns(store: AsyncStore) -> None:
    """[20]"""
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    await store.publish(EVENT)
    assert seen == [EVENT]
    assert (seen[0].type, seen[0].job_id) == ("job:waiting", "j")


async def test_it_is_known_whether_anybody_listens(store: AsyncStore) -> None:
    seen: list[StoreEvent] = []
    callback = seen.append
    assert not store.has_subscribers(QUEUE)
    store.subscribe(QUEUE, callback)
    assert store.has_subscribers(QUEUE)
    assert store.has_subscribers(QUEUE, besides=print)
    assert not store.has_subscribers(QUEUE, besides=callback)
    assert not store.has_subscribers("elsewhere")
    store.unsubscribe(QUEUE, callback)
    assert not store.has_subscribers(QUEUE)


async def test_nothing_arrives_after_unsubscribing(store: AsyncStore) -> None:
    """[21]"""
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    store.unsubscribe(QUEUE)
    await store.publish(EVENT)
    assert seen == []
    store.unsubscribe(QUEUE)
    store.unsubscribe("elsewhere", seen.append)


async def test_every_subscriber_is_told(store: AsyncStore) -> None:
    """[57]"""
    first: list[StoreEvent] = []
    second: list[StoreEvent] = []
    store.subscribe(QUEUE, first.append)
    store.subscribe(QUEUE, second.append)
    await store.publish(EVENT)
    assert first == second == [EVENT]


async def test_one_subscriber_can_leave(store: AsyncStore) -> None:
    """[58]"""
    first: list[StoreEvent] = []
    second: list[StoreEvent] = []
    leaving = first.append
    store.subscribe(QUEUE, leaving)
    store.subscribe(QUEUE, second.append)
    store.unsubscribe(QUEUE, leaving)
    await store.publish(EVENT)
    assert (first, second) == ([], [EVENT])


async def test_subscribing_twice_is_once(store: AsyncStore) -> None:
    seen: list[StoreEvent] = []
    callback = seen.append
    store.subscribe(QUEUE, callback)
    store.subscribe(QUEUE, callback)
    await store.publish(EVENT)
    assert seen == [EVENT]


async def test_an_event_is_for_its_queue(store: AsyncStore) -> None:
    seen: list[StoreEvent] = []
    store.subscribe("elsewhere", seen.append)
    await store.publish(EVENT)
    assert seen == []


async def test_a_failing_subscriber_stops_nothing(
    store: AsyncStore, caplog: pytest.LogCaptureFixture
) -> None:
    """W28: upstream runs a finished job again when a subscriber fails."""
    seen: list[StoreEvent] = []

    def fail(event: StoreEvent) -> None:
        raise RuntimeError(f"cannot take {event.type}")

    made = await leased(store)
    store.subscribe(QUEUE, fail)
    store.subscribe(QUEUE, seen.append)
    with caplog.at_level(logging.CRITICAL):
        await store.publish(EVENT)
        assert await store.cancel_job(QUEUE, made.id) is True
    assert [event.type for event in seen] == ["job:waiting", "job:cancelled"]
    assert (await read(store, made)).cancelled_at is not None


async def test_a_cancelled_job_is_told(store: AsyncStore) -> None:
    """[91]"""
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    (made,) = await save_new(store, "job")
    assert await store.cancel_job(QUEUE, made.id) is False
    assert (await read(store, made)).cancelled_at is None
    assert seen == []
    running = await leased_now(store)
    assert await store.cancel_job(QUEUE, running.id) is True
    assert [(event.type, event.job_id) for event in seen] == [("job:cancelled", made.id)]
    found = await read(store, made)
    assert found.cancelled_at is not None
    assert (found.state, found.lease, found.locked_by) == (
        JobState.ACTIVE,
        running.lease,
        running.locked_by,
    )


async def test_what_has_ended_or_never_was_cannot_be_cancelled(store: AsyncStore) -> None:
    """[92]"""
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    assert await store.cancel_job(QUEUE, "unknown") is False
    made = await leased(store)
    await finish(store, Complete(made))
    assert await store.cancel_job(QUEUE, made.id) is False
    assert (await read(store, made)).cancelled_at is None
    assert seen == []


@requires("shared_data")
async def test_an_event_comes_after_the_commit(store: AsyncStore, harness: StoreHarness) -> None:
    """What a subscriber looks at from elsewhere is already so."""
    made = await leased(store)
    found: list[bool] = []

    async def look() -> None:
        other = await harness.another()
        try:
            found.append((await read(other, made)).cancelled_at is not None)
        finally:
            await other.disconnect()

    def subscriber(event: StoreEvent) -> None:
        # In a thread with a loop of its own, as ours waits for this callback.
        looking = threading.Thread(target=lambda: asyncio.run(look()))
        looking.start()
        looking.join()

    store.subscribe(QUEUE, subscriber)
    await store.cancel_job(QUEUE, made.id)
    assert found == [True]


async def test_a_subscriber_may_leave_while_it_is_told(store: AsyncStore) -> None:
    seen: list[str | None] = []

    def first_only(event: StoreEvent) -> None:
        seen.append(event.job_id)
        store.unsubscribe(QUEUE, first_only)

    store.subscribe(QUEUE, first_only)
    await store.publish(EVENT)
    await store.publish(EVENT)
    assert seen == ["j"]


@requires("shared_data")
async def test_disconnecting_drops_the_subscribers(
    store: AsyncStore, harness: StoreHarness
) -> None:
    seen: list[StoreEvent] = []
    other = await harness.another()
    other.subscribe(QUEUE, seen.append)
    await other.disconnect()
    await other.disconnect()
    await store.publish(EVENT)
    assert seen == []


async def test_connecting_twice_is_fine(store: AsyncStore) -> None:
    made = job()
    await save(store, made)
    await store.connect()
    assert (await read(store, made)).id == made.id


async def leased_now(store: AsyncStore) -> Job:
    """Lease the job that waits."""
    (running,) = await store.fetch_jobs(QUEUE, "worker", MINUTE, 1)
    return running
