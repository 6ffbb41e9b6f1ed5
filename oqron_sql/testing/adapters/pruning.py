"""Pruning by record time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from oqron_sql.contract.async_adapters import AsyncStorage
from oqron_sql.errors import InvalidInput
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import HOUR, MILLISECOND, SPACE, T2024, names, save

MS = T2024.timestamp() * 1000
FAR_WEST, FAR_EAST = timezone(timedelta(hours=-12)), timezone(timedelta(hours=14))
LATER = "2999-01-01T00:00:00Z"


async def test_old_documents_are_pruned_and_counted(storage: AsyncStorage) -> None:
    """[13] [18]"""
    for n in range(5):
        await storage.save(SPACE, str(n), {"name": str(n), "createdAt": T2024 + n * HOUR})
    await storage.save("elsewhere", "old", {"createdAt": T2024})
    assert await storage.prune(SPACE, T2024 + 3 * HOUR) == 3
    assert await names(storage) == ["4", "3"]
    assert await storage.prune(SPACE, T2024 + 3 * HOUR) == 0
    assert await storage.count("elsewhere") == 1


async def test_only_what_is_earlier_is_pruned(storage: AsyncStorage) -> None:
    """[S11]"""
    for field in ("createdAt", "expiresAt"):
        for at in (T2024, MS, "2024-02-29T23:59:58.123Z", "2024-03-01T01:59:58.123+02:00"):
            await storage.save(SPACE, "a", {field: at})
            assert (at, await storage.prune(SPACE, T2024)) == (at, 0)
            assert (at, await storage.prune(SPACE, T2024 + MILLISECOND)) == (at, 1)


async def test_created_comes_before_expires(storage: AsyncStorage) -> None:
    """[S11]"""
    await save(
        storage,
        old={"name": "old", "createdAt": T2024, "expiresAt": LATER},
        new={"name": "new", "createdAt": LATER, "expiresAt": T2024},
        unreadable={"name": "unreadable", "createdAt": "soon", "expiresAt": T2024},
    )
    assert await storage.prune(SPACE, T2024 + HOUR) == 2
    assert await names(storage) == ["new"]


TIMELESS: list[Any] = [
    {"n": 1}, 1, None, {"createdAt": None}, {"createdAt": "2024-02-29"}, {"createdAt": True},
    {"createdAt": "2024-02-30T00:00:00Z"}, {"createdAt": 1e300}, {"deep": {"createdAt": T2024}},
]  # fmt: skip


async def test_what_states_no_time_has_that_of_its_saving(storage: AsyncStorage) -> None:
    """[S11]"""
    await storage.bulk_save(SPACE, [(str(n), each) for n, each in enumerate(TIMELESS)])
    assert await storage.prune(SPACE, datetime.now(UTC) - timedelta(days=1)) == 0
    assert await storage.prune(SPACE, datetime.now(UTC) + timedelta(days=1)) == len(TIMELESS)


async def test_the_future_is_pruned_when_it_is_past(storage: AsyncStorage) -> None:
    """[S11] Some keep the instant in it when a document is to go."""
    await save(storage, a={"createdAt": datetime(2999, 1, 1, tzinfo=UTC)})
    assert await storage.prune(SPACE, datetime(2998, 12, 31, tzinfo=UTC)) == 0
    assert await storage.prune(SPACE, datetime(2999, 1, 2, tzinfo=UTC)) == 1


async def test_a_time_counts_however_it_was_written(storage: AsyncStorage) -> None:
    """[S3] [S11] By whichever method, and by one that changes nothing else."""
    await storage.save_if_absent(SPACE, "absent", {"name": "absent", "createdAt": T2024})
    await storage.bulk_save(SPACE, [("bulk", {"name": "bulk", "expiresAt": T2024 + HOUR})])
    await save(storage, set={"name": "set"}, sum={"name": "sum", "createdAt": MS})
    assert await storage.compare_and_set(SPACE, "set", {}, {"createdAt": T2024 - HOUR}) is True
    assert await storage.increment(SPACE, "sum", "createdAt", 7_200_000) == MS + 7_200_000
    await storage.increment(SPACE, "made", "createdAt", MS - 7_200_000)
    assert [each.get("name") for each in await storage.list(SPACE)] == [
        *("sum", "bulk", "absent", "set", None)
    ]
    for cut, gone in ((-1, 1), (0, 1), (1, 1), (2, 1), (3, 1)):
        assert await storage.prune(SPACE, T2024 + cut * HOUR) == gone


async def test_hundreds_are_pruned_at_once(storage: AsyncStorage) -> None:
    """[S11] More than one step may delete, and many of one instant."""
    documents = [(str(n), {"createdAt": T2024 + n // 500 * HOUR}) for n in range(1500)]
    await storage.bulk_save(SPACE, documents)
    assert await storage.prune(SPACE, T2024 + 2 * HOUR) == 1000
    assert await storage.count(SPACE) == 500


@needs("movable_clock")
async def test_saving_again_does_not_make_it_younger(
    storage: AsyncStorage, harness: AdapterHarness
) -> None:
    """[S11] But a time that is stated now counts."""
    await save(storage, a={"n": 1}, b={"n": 1})
    await harness.advance(2 * HOUR)
    await save(storage, a={"n": 2}, b={"createdAt": LATER})
    await storage.increment(SPACE, "a", "n")
    await save(storage, c={"name": "c"})
    cut = datetime.now(UTC) + HOUR
    assert await storage.prune(SPACE, cut) == 1
    assert await storage.get(SPACE, "a") is None
    assert await storage.count(SPACE) == 2


async def test_an_instant_needs_a_time_zone(storage: AsyncStorage) -> None:
    await save(storage, a={"createdAt": T2024})
    with pytest.raises(InvalidInput):
        await storage.prune(SPACE, T2024.replace(tzinfo=None))
    with pytest.raises(InvalidInput):
        await storage.prune(SPACE, MS)  # type: ignore[arg-type]  # is what is tested
    for beyond in (datetime.max.replace(tzinfo=FAR_WEST), datetime.min.replace(tzinfo=FAR_EAST)):
        with pytest.raises(InvalidInput):
            await storage.prune(SPACE, beyond)
    assert await storage.count(SPACE) == 1
