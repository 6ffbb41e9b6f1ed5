"""How long finished jobs are kept, by their own options."""

from __future__ import annotations

from oqron_sql.contract import AsyncStore, Complete, Fail, JobState
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    QUEUE,
    SECOND,
    WORKER,
    completed,
    failed,
    finish,
    job,
    leased,
    read,
    save_new,
    states,
    take,
    with_parent,
)

COMPLETED, FAILED = JobState.COMPLETED, JobState.FAILED


async def counts(store: AsyncStore) -> tuple[int, int]:
    """Return how many are completed and failed, as counted and as listed."""
    told = await store.get_job_counts(QUEUE)
    listed = [len(await store.list_jobs(QUEUE, state)) for state in (COMPLETED, FAILED)]
    assert [told[COMPLETED], told[FAILED]] == listed
    return told[COMPLETED], told[FAILED]


async def test_a_job_that_is_not_to_be_kept_goes_with_its_end(store: AsyncStore) -> None:
    gone = [
        await leased(store, remove_on_complete=True, remove_on_fail=1),
        await leased(store, remove_on_complete=0),
    ]
    settled = await store.finish_jobs(QUEUE, [Complete(each) for each in gone])
    assert [each.state for each in settled] == [COMPLETED, COMPLETED]
    made = await leased(store, remove_on_fail=True)
    await store.append_logs(QUEUE, made.id, ["it had a history"])
    assert (await finish(store, Fail(made, "boom", "trace"))).state is FAILED
    assert await states(store, [*gone, made]) == [None, None, None]
    assert await counts(store) == (0, 0)


async def test_other_ends_do_not_count(store: AsyncStore) -> None:
    await failed(store, remove_on_complete=True)
    await completed(store, remove_on_fail=True)
    await completed(store, remove_on_complete=False)
    assert await counts(store) == (2, 1)


@requires("movable_clock")
async def test_a_job_lost_for_good_is_kept_as_one_that_failed(
    store: AsyncStore, harness: StoreHarness
) -> None:
    child, parent = with_parent(job("parent"), job("child", remove_on_fail=True))
    await store.save_flow([child, parent])
    (kept,) = await save_new(store, "kept", remove_on_complete=True)
    (short,) = await save_new(store, "short", remove_on_fail=MINUTE)
    old, new = await save_new(store, "old", "new", remove_on_fail=1)
    for _ in range(5):
        await take(store)
        await harness.advance(SECOND)
    await harness.advance(HOUR)
    lost = await store.recover_lost(QUEUE, max_lost=0)
    assert [each.state for each in lost] == [FAILED] * 5
    assert (lost[0].job_id, lost[0].worker_id) == (child.id, WORKER)
    assert await states(store, [child, parent]) == [None, FAILED], "it was told"
    assert await states(store, [kept, short, old, new]) == [FAILED, FAILED, None, FAILED]
    assert await counts(store) == (0, 4)
    await harness.advance(HOUR)
    assert await store.remove_expired(QUEUE) == 1
    assert await states(store, [short, kept]) == [None, FAILED]
    assert await counts(store) == (0, 3)


async def test_a_parent_is_told_of_a_child_that_is_not_kept(store: AsyncStore) -> None:
    child, parent = with_parent(job("parent"), job("child", remove_on_complete=True))
    await store.save_flow([child, parent])
    await finish(store, Complete(await take(store)))
    assert await states(store, [child, parent]) == [None, JobState.WAITING]


async def test_the_newest_so_many_are_kept(store: AsyncStore) -> None:
    others = [await completed(store), await completed(store, remove_on_complete=9)]
    mine = [await completed(store, f"job-{n}", remove_on_complete=2) for n in range(4)]
    assert await states(store, [*others, *mine]) == [COMPLETED] * 2 + [None, None] + [COMPLETED] * 2
    # One that is no longer there does not count as one of the newest.
    await store.remove_job(QUEUE, mine[3].id)
    mine.append(await completed(store, remove_on_complete=2))
    assert await states(store, mine[2:]) == [COMPLETED, None, COMPLETED]
    await failed(store, remove_on_complete=2, remove_on_fail=2)
    assert await counts(store) == (4, 1)


async def test_a_retried_job_is_new_when_it_ends_again(store: AsyncStore) -> None:
    first, second = [await failed(store, n, remove_on_fail=2) for n in ("first", "second")]
    await store.update_job(QUEUE, first.id, {"state": JobState.WAITING})
    again = await take(store)
    third = await save_new(store, "third", remove_on_fail=2)
    await finish(store, Fail(await take(store), "boom"))
    assert await states(store, [first, second, *third]) == [JobState.ACTIVE, FAILED, FAILED]
    await finish(store, Fail(again, "boom"))
    assert await states(store, [first, second, *third]) == [FAILED, None, FAILED]


@requires("movable_clock")
async def test_a_job_is_kept_for_its_span(store: AsyncStore, harness: StoreHarness) -> None:
    short = await completed(store, remove_on_complete=MINUTE)
    long = await failed(store, remove_on_fail=HOUR)
    retried = await completed(store, remove_on_complete=MINUTE)
    await harness.advance(MINUTE - SECOND)
    assert not (await store.get_outlook(QUEUE)).expired
    assert await store.remove_expired(QUEUE) == 0
    await store.update_job(QUEUE, retried.id, {"state": JobState.WAITING})
    await harness.advance(2 * SECOND)
    assert (await store.get_outlook(QUEUE)).expired
    assert not (await store.get_outlook("elsewhere")).expired
    assert await store.remove_expired("elsewhere") == 0
    assert await store.remove_expired(QUEUE) == 1
    assert await states(store, [short, long, retried]) == [None, FAILED, JobState.WAITING]
    assert not (await store.get_outlook(QUEUE)).expired
    await harness.advance(HOUR)
    assert await store.remove_expired(QUEUE, limit=5) == 1
    assert await counts(store) == (0, 0)


@requires("movable_clock")
async def test_a_cancelled_job_is_not_removed_as_one_that_completed(
    store: AsyncStore, harness: StoreHarness
) -> None:
    """It was to go a minute after its completion, was retried, and cancelled before it began."""
    made = await completed(store, remove_on_complete=MINUTE)
    await store.retry_jobs(QUEUE, COMPLETED)
    assert await store.cancel_job(QUEUE, made.id, unstarted=True)
    await harness.advance(HOUR)
    assert await store.remove_expired(QUEUE) == 0
    assert await states(store, [made]) == [FAILED]


@requires("movable_clock")
async def test_no_more_go_at_once_than_allowed(store: AsyncStore, harness: StoreHarness) -> None:
    made = [await completed(store, remove_on_complete=MINUTE) for _ in range(3)]
    await harness.advance(MINUTE + SECOND)
    assert await store.remove_expired(QUEUE, limit=2) == 2
    assert await states(store, made) == [None, None, COMPLETED]
    await store.obliterate(QUEUE)
    assert await store.remove_expired(QUEUE) == 0


async def test_a_span_counts_from_the_end(store: AsyncStore) -> None:
    made = await completed(store, remove_on_complete=HOUR)
    assert (await read(store, made)).opts.remove_on_complete == HOUR
    assert await store.remove_expired(QUEUE) == 0
