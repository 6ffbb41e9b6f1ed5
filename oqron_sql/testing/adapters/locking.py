"""Taking a lock, keeping it and giving it up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from oqron_sql.contract.async_adapters import AsyncLock
from oqron_sql.errors import InvalidInput
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import HOUR, ME, MINUTE, OTHER, SECOND

KEY = "the-lock"


async def test_a_free_lock_is_taken(lock: AsyncLock) -> None:
    """[75] [76]"""
    assert await lock.acquire(KEY, ME, MINUTE) is not None
    assert await lock.acquire(KEY, OTHER, MINUTE) is None
    assert await lock.acquire("another", OTHER, MINUTE) is not None


async def test_its_owner_takes_it_again(lock: AsyncLock) -> None:
    """[77] [L1] It is held once: one release frees it."""
    first = await lock.acquire(KEY, ME, MINUTE)
    assert await lock.acquire(KEY, ME, MINUTE) == first
    assert await lock.release(KEY, ME) is True
    assert await lock.acquire(KEY, OTHER, MINUTE) is not None


@needs("movable_clock")
async def test_taking_it_again_lets_it_last(lock: AsyncLock, harness: AdapterHarness) -> None:
    """[L1] From now on: longer, or shorter."""
    await lock.acquire(KEY, ME, 2 * MINUTE)
    await harness.advance(MINUTE)
    await lock.acquire(KEY, ME, 2 * MINUTE)
    await harness.advance(MINUTE + 10 * SECOND)
    assert await lock.is_owner(KEY, ME) is True
    await lock.acquire(KEY, ME, SECOND)
    await harness.advance(2 * SECOND)
    assert await lock.is_owner(KEY, ME) is False


@needs("movable_clock")
async def test_a_renewed_lock_lasts(lock: AsyncLock, harness: AdapterHarness) -> None:
    """[78] [79]"""
    await lock.acquire(KEY, ME, 2 * MINUTE)
    await harness.advance(MINUTE)
    assert await lock.renew(KEY, OTHER, HOUR) is False
    assert await lock.renew(KEY, ME, 2 * MINUTE) is True
    await harness.advance(MINUTE + 10 * SECOND)
    assert await lock.is_owner(KEY, ME) is True
    assert await lock.acquire(KEY, OTHER, MINUTE) is None
    assert await lock.renew(KEY, ME, SECOND) is True  # from now on, be it shorter
    await harness.advance(2 * SECOND)
    assert await lock.acquire(KEY, OTHER, MINUTE) is not None


async def test_what_nobody_has_is_not_renewed(lock: AsyncLock) -> None:
    """[86]"""
    assert await lock.renew(KEY, ME, MINUTE) is False
    assert await lock.is_owner(KEY, ME) is False
    assert await lock.release(KEY, ME) is False
    assert await lock.acquire(KEY, OTHER, MINUTE) is not None


async def test_a_released_lock_is_free(lock: AsyncLock) -> None:
    """[81] [82]"""
    await lock.acquire(KEY, ME, MINUTE)
    assert await lock.release(KEY, OTHER) is False
    assert await lock.is_owner(KEY, ME) is True
    assert await lock.release(KEY, ME) is True
    assert await lock.release(KEY, ME) is False
    assert await lock.is_owner(KEY, ME) is False
    assert await lock.renew(KEY, ME, MINUTE) is False
    assert await lock.acquire(KEY, OTHER, MINUTE) is not None


async def test_one_owner_is_not_another(lock: AsyncLock) -> None:
    """[83] [84]"""
    await lock.acquire(KEY, ME, MINUTE)
    assert await lock.is_owner(KEY, ME) is True
    assert await lock.is_owner(KEY, OTHER) is False
    assert await lock.is_owner("another", ME) is False


@needs("movable_clock")
async def test_a_lock_that_is_over_is_nobody_s(lock: AsyncLock, harness: AdapterHarness) -> None:
    """[80] [85] [87] [L2]"""
    await lock.acquire(KEY, ME, MINUTE)
    await harness.advance(MINUTE + SECOND)
    assert await lock.is_owner(KEY, ME) is False
    assert await lock.renew(KEY, ME, HOUR) is False
    assert await lock.release(KEY, ME) is False
    assert await lock.is_owner(KEY, ME) is False
    assert await lock.acquire(KEY, OTHER, MINUTE) is not None


@needs("movable_clock")
async def test_an_old_owner_cannot_touch_a_new_one_s(
    lock: AsyncLock, harness: AdapterHarness
) -> None:
    """[L7]"""
    await lock.acquire(KEY, ME, MINUTE)
    await harness.advance(HOUR)
    await lock.acquire(KEY, OTHER, MINUTE)
    assert await lock.renew(KEY, ME, HOUR) is False
    assert await lock.release(KEY, ME) is False
    assert await lock.acquire(KEY, ME, HOUR) is None
    assert await lock.is_owner(KEY, OTHER) is True
    await harness.advance(MINUTE + SECOND)
    assert await lock.is_owner(KEY, OTHER) is False


@needs("movable_clock")
async def test_fencing_numbers_rise(lock: AsyncLock, harness: AdapterHarness) -> None:
    """[L8] With each taking anew, however the lock became free; not while it is kept."""
    numbers = [await lock.acquire(KEY, ME, MINUTE)]
    assert await lock.acquire(KEY, ME, MINUTE) == numbers[0]
    assert await lock.renew(KEY, ME, MINUTE) is True
    assert await lock.acquire(KEY, OTHER, MINUTE) is None
    assert await lock.acquire(KEY, ME, MINUTE) == numbers[0]
    await lock.release(KEY, ME)
    numbers.append(await lock.acquire(KEY, ME, MINUTE))
    await harness.advance(HOUR)
    numbers.append(await lock.acquire(KEY, ME, MINUTE))
    await harness.advance(HOUR)
    numbers.append(await lock.acquire(KEY, OTHER, MINUTE))
    await lock.release(KEY, OTHER)
    await harness.advance(24 * HOUR)
    numbers.append(await lock.acquire(KEY, ME, MINUTE))
    rising = [number for number in numbers if number is not None]
    assert len(rising) == 5
    assert rising == sorted(set(rising))


async def test_a_lock_lasts_some_time(lock: AsyncLock) -> None:
    """[L4] [L5]"""
    wrong: Any
    for wrong in (timedelta(0), -MINUTE, timedelta.max, 1.5, None):
        with pytest.raises(InvalidInput):
            await lock.acquire(KEY, ME, wrong)
    assert await lock.acquire(KEY, ME, timedelta(milliseconds=60_000.5)) is not None
    for wrong in (timedelta(0), -MINUTE, timedelta.max, 1.5, None):
        with pytest.raises(InvalidInput):
            await lock.renew(KEY, ME, wrong)
        with pytest.raises(InvalidInput):
            await lock.acquire(KEY, ME, wrong)
    assert await lock.is_owner(KEY, ME) is True
    assert await lock.acquire("tiny", ME, timedelta(microseconds=1)) is not None


@needs("shared_data")
async def test_a_lock_is_shared(lock: AsyncLock, harness: AdapterHarness) -> None:
    other = await harness.lock()
    assert await lock.acquire(KEY, ME, MINUTE) is not None
    assert await other.acquire(KEY, OTHER, MINUTE) is None
    assert await other.is_owner(KEY, ME) is True
    assert await other.release(KEY, ME) is True
    assert await lock.is_owner(KEY, ME) is False


@needs("movable_clock", "visible_locks")
async def test_locks_that_are_over_are_swept(lock: AsyncLock, harness: AdapterHarness) -> None:
    """[L9] By and by, as others are taken."""
    for n in range(30):
        await lock.acquire(f"{KEY}-{n}", ME, MINUTE)
    await harness.advance(HOUR)
    for n in range(30):
        await lock.acquire(f"later-{n}", ME, HOUR)
    assert await harness.stored_locks() == 30
