"""Jobs that a worker does not run: handed back, or cancelled before they began."""

from __future__ import annotations

from oqron_sql.contract import AsyncStore, Complete, JobState, Release, Retry, StoreEvent
from oqron_sql.contract.model import CANCELLED
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    QUEUE,
    SECOND,
    contents,
    failed,
    finish,
    job,
    leased,
    now_of,
    read,
    save_new,
    states,
    take,
    take_names,
    with_parent,
)


async def test_a_released_job_waits_in_its_old_place(store: AsyncStore) -> None:
    await save_new(store, "first", "second", "third")
    jobs = await store.fetch_jobs(QUEUE, "worker", MINUTE, 2)
    settled = await store.finish_jobs(QUEUE, [Complete(jobs[1], "done"), Release(jobs[0])])
    assert [each.state for each in settled] == [JobState.COMPLETED, JobState.WAITING]
    found = await read(store, jobs[0])
    assert (found.state, found.locked_by, found.lock_until) == (JobState.WAITING, None, None)
    assert (found.attempts_made, found.lost_count, found.attempt_logs) == (0, 0, ())
    assert (await read(store, jobs[1])).returnvalue == "done"
    assert await take_names(store, 2) == ["first", "third"]


async def test_a_release_keeps_what_went_before(store: AsyncStore) -> None:
    made = await leased(store)
    await finish(store, Retry(made, "boom", stacktrace="trace"))
    again = await take(store)
    before = await read(store, again)
    await finish(store, Release(again))
    found = await read(store, again)
    assert (found.attempts_made, found.failed_reason) == (1, "boom")
    assert (found.attempt_logs, found.stacktrace) == (before.attempt_logs, before.stacktrace)


async def test_a_release_that_is_repeated_is_recognised(store: AsyncStore) -> None:
    made = await leased(store)
    for _ in range(2):
        assert (await finish(store, Release(made))).state is JobState.WAITING
    new = await take(store)
    before = await contents(store)
    assert (await finish(store, Release(made))).lost
    assert await contents(store) == before
    assert new.lease == made.lease + 1


@requires("movable_clock")
async def test_looking_at_locks_changes_none(store: AsyncStore, harness: StoreHarness) -> None:
    held = await leased(store, "held")
    lost = await leased(store, "lost")
    await finish(store, Release(lost))
    await store.cancel_job(QUEUE, held.id)
    before = await contents(store)
    assert await store.check_locks(QUEUE, []) == []
    first, second = await store.check_locks(QUEUE, [held, lost])
    assert (first.job_id, first.lease, first.cancelled) == (held.id, held.lease, True)
    assert (first.lost, first.lock_until) == (False, held.lock_until)
    assert (second.job_id, second.lost, second.cancelled) == (lost.id, True, False)
    assert await contents(store) == before
    await harness.advance(MINUTE + SECOND)
    (late,) = await store.check_locks(QUEUE, [held])
    assert not late.lost  # it ran out, but nobody has taken the job back


async def test_a_job_that_has_not_begun_is_cancelled(store: AsyncStore) -> None:
    waiting, later = [*await save_new(store, "now"), *await save_new(store, "later", delay=HOUR)]
    seen: list[StoreEvent] = []
    store.subscribe(QUEUE, seen.append)
    for made in (waiting, later):
        before = await now_of(store)
        assert await store.cancel_job(QUEUE, made.id, unstarted=True) is True
        found = await read(store, made)
        assert (found.state, found.failed_reason) == (JobState.FAILED, CANCELLED)
        assert (found.attempts_made, found.delay_until) == (0, None)
        assert found.failed_at is not None
        assert found.failed_at == found.cancelled_at
        assert before <= found.failed_at
    assert [(e.type, e.job_id) for e in seen] == [
        ("job:cancelled", waiting.id),
        ("job:cancelled", later.id),
    ]
    assert (await store.get_job_counts(QUEUE))[JobState.FAILED] == 2
    running = await leased(store)
    assert await store.cancel_job(QUEUE, running.id, unstarted=True) is True
    assert (await read(store, running)).state is JobState.ACTIVE
    ended = await failed(store, "ended", deduplication=None)
    for unknown in (ended.id, "unknown"):
        assert await store.cancel_job(QUEUE, unknown, unstarted=True) is False


async def test_a_cancelled_child_is_told_upward(store: AsyncStore) -> None:
    child, parent, root = job("child"), job("parent"), job("root")
    await store.save_flow(with_parent(parent, child) + with_parent(root, parent)[1:])
    assert await store.cancel_job(QUEUE, child.id, unstarted=True) is True
    assert await states(store, [child, parent, root]) == [JobState.FAILED] * 3
    assert (await read(store, parent)).failed_reason == f"Child failed: {CANCELLED}"
