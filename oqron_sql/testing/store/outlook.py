"""What an idle worker learns from one look."""

from __future__ import annotations

from datetime import timedelta

from oqron_sql.contract import AsyncStore, Outlook
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import HOUR, MINUTE, QUEUE, SECOND, leased, save_new, take

NOTHING = Outlook()


async def test_nothing_to_do(store: AsyncStore) -> None:
    await leased(store)
    await save_new(store, "job", queue="elsewhere")
    await save_new(store, "job", queue="elsewhere", delay=HOUR)
    assert await store.get_outlook(QUEUE) == NOTHING
    assert await store.get_outlook("unheard-of") == NOTHING


async def test_a_job_waits_unless_it_is_paused(store: AsyncStore) -> None:
    await save_new(store, "mail")
    assert await store.get_outlook(QUEUE) == Outlook(waiting=True)
    await store.pause_job_name(QUEUE, "mail")
    assert await store.get_outlook(QUEUE) == NOTHING
    await save_new(store, "report")
    assert await store.get_outlook(QUEUE) == Outlook(waiting=True)
    await store.pause_job_name(QUEUE, "__all__")
    assert await store.get_outlook(QUEUE) == NOTHING


@requires("movable_clock")
async def test_the_time_until_the_next_is_due(store: AsyncStore, harness: StoreHarness) -> None:
    await save_new(store, "late", delay=2 * HOUR)
    await save_new(store, "early", delay=HOUR)
    due_in = (await store.get_outlook(QUEUE)).due_in
    assert due_in is not None
    assert HOUR - MINUTE < due_in <= HOUR
    await harness.advance(HOUR + SECOND)
    assert await store.get_outlook(QUEUE) == Outlook(due_in=timedelta(0))
    await store.promote_delayed_jobs(QUEUE)
    await take(store)
    due_in = (await store.get_outlook(QUEUE)).due_in
    assert due_in is not None
    assert due_in > HOUR - MINUTE


@requires("movable_clock")
async def test_a_lease_that_ran_out(store: AsyncStore, harness: StoreHarness) -> None:
    made = await leased(store)
    await harness.advance(MINUTE + SECOND)
    assert await store.get_outlook(QUEUE) == Outlook(lost=True)
    await store.extend_locks(QUEUE, [made], MINUTE)
    assert await store.get_outlook(QUEUE) == NOTHING
