"""What is refused is refused with facts, and changes nothing."""

from __future__ import annotations

from datetime import datetime

import pytest

from oqron_sql.contract import AsyncStore, Complete, JobState, JobUpdate
from oqron_sql.errors import (
    InvalidInput,
    InvalidJobState,
    InvalidName,
    JobNotFound,
    LeaseLost,
    NaiveDatetime,
    OqronError,
    PayloadError,
    PayloadTooLarge,
    QueueActive,
    StoreClosed,
)
from oqron_sql.testing.harness import StoreHarness, requires
from oqron_sql.testing.steps import QUEUE, contents, finish, job, leased, read, save, save_new

NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001  # naive on purpose


async def test_every_refusal_is_one_of_ours(store: AsyncStore) -> None:
    held = await leased(store)
    before = await contents(store)
    unknown: JobUpdate = {"stat": JobState.FAILED}  # type: ignore[typeddict-unknown-key]  # refused
    for expected, refused in (
        (InvalidInput, store.save_job("elsewhere", job())),
        (InvalidName, store.pause_job_name(QUEUE, "")),
        (PayloadError, store.save_job(QUEUE, job(data=float("nan")))),
        (PayloadTooLarge, store.save_job(QUEUE, job(data="x" * 2**21))),
        (InvalidInput, store.update_job(QUEUE, held.id, unknown)),
        (InvalidInput, store.retry_jobs(QUEUE, JobState.ACTIVE)),
        (InvalidInput, store.list_jobs(QUEUE, JobState.ACTIVE, -1)),
        (InvalidJobState, store.update_job(QUEUE, held.id, {}, expected_state=JobState.FAILED)),
        (JobNotFound, store.append_logs(QUEUE, "unknown", ["line"])),
        (LeaseLost, store.update_job(QUEUE, held.id, {}, lease=7)),
        (QueueActive, store.obliterate(QUEUE)),
    ):
        with pytest.raises(expected) as raised:
            await refused
        assert isinstance(raised.value, OqronError)
        assert str(raised.value)
    assert await contents(store) == before


async def test_a_mistyped_member_is_explained(store: AsyncStore) -> None:
    (made,) = await save_new(store, "job")
    unknown: JobUpdate = {"progres": 5}  # type: ignore[typeddict-unknown-key]  # refused
    with pytest.raises(InvalidInput, match="progress"):
        await store.update_job(QUEUE, made.id, unknown)


async def test_a_refused_argument_is_also_a_value_error(store: AsyncStore) -> None:
    with pytest.raises(ValueError, match="elsewhere"):
        await store.save_job("elsewhere", job())
    naive = job()
    naive.created_at = NAIVE
    with pytest.raises(NaiveDatetime) as refused:
        await save(store, naive)
    assert (refused.value.field, refused.value.value) == ("created_at", NAIVE)


async def test_a_store_works_after_refusals(store: AsyncStore) -> None:
    """No connection is left in the middle of something."""
    held = await leased(store)
    for _ in range(20):
        with pytest.raises(LeaseLost):
            await store.update_job(QUEUE, held.id, {"progress": 1}, lease=7)
        with pytest.raises(PayloadError):
            await store.save_job(QUEUE, job(data={1: 2}))
    assert (await finish(store, Complete(held))).state is JobState.COMPLETED


@requires("closing")
async def test_a_closed_store_says_so(store: AsyncStore) -> None:
    (made,) = await save_new(store, "job")
    assert (await read(store, made)).id == made.id
    await store.disconnect()
    with pytest.raises(StoreClosed):
        await store.get_job(QUEUE, made.id)
    with pytest.raises(StoreClosed):
        await store.save_job(QUEUE, job())
    await store.disconnect()


@requires("shared_data")
async def test_one_store_s_end_is_not_another_s(store: AsyncStore, harness: StoreHarness) -> None:
    other = await harness.another()
    (made,) = await save_new(other, "job")
    await other.disconnect()
    assert (await read(store, made)).name == "job"
