"""Changing a document in one step: increments and comparing before setting."""

from __future__ import annotations

from typing import Any

import pytest

from oqron_sql.contract.async_adapters import AsyncStorage
from oqron_sql.errors import InvalidInput, PayloadError, PayloadTooLarge
from oqron_sql.testing.adapter_harness import needs
from oqron_sql.testing.adapters.steps import SPACE, T2024, save

BIG = 2**70


async def test_a_number_is_incremented(storage: AsyncStorage) -> None:
    """[31] [S13]"""
    await save(storage, a={"n": 1, "other": "x"})
    assert await storage.increment(SPACE, "a", "n") == 2
    assert await storage.increment(SPACE, "a", "n", 5) == 7
    assert await storage.increment(SPACE, "a", "n", -10) == -3
    assert await storage.get(SPACE, "a") == {"n": -3, "other": "x"}


async def test_fractions_are_returned_whole(storage: AsyncStorage) -> None:
    """[S13]"""
    assert await storage.increment(SPACE, "a", "n", 0.5) == 0.5
    assert await storage.increment(SPACE, "a", "n") == 1.5
    assert await storage.increment(SPACE, "a", "n", -0.25) == 1.25
    assert await storage.get(SPACE, "a") == {"n": 1.25}


async def test_whole_numbers_stay_whole(storage: AsyncStorage) -> None:
    """[S13] [S15]"""
    for n, by, total in ((1, 2.0, 3), (BIG, 1, BIG + 1), (10**15, 1, 10**15 + 1), (-1, 1, 0)):
        await save(storage, a={"n": n})
        found = await storage.increment(SPACE, "a", "n", by)
        assert (found, type(found)) == (total, int)
        stored = (await storage.get(SPACE, "a") or {})["n"]
        assert (stored, type(stored)) == (total, int)


async def test_what_is_missing_starts_from_zero(storage: AsyncStorage) -> None:
    """[S13]"""
    assert await storage.increment(SPACE, "new", "n", 3) == 3
    assert await storage.get(SPACE, "new") == {"n": 3}
    assert await storage.increment(SPACE, "new", "m") == 1
    assert await storage.get(SPACE, "new") == {"n": 3, "m": 1}


async def test_only_numbers_are_incremented(storage: AsyncStorage) -> None:
    """[S13]"""
    held: Any
    for held in ("1", None, True, [], {"n": 1}, T2024):
        await save(storage, a={"n": held})
        with pytest.raises(InvalidInput):
            await storage.increment(SPACE, "a", "n")
        assert await storage.get(SPACE, "a") == {"n": held}


async def test_a_document_without_fields_is_not_changed(storage: AsyncStorage) -> None:
    """[S17]"""
    for document in (1, "text", None, [1]):
        await save(storage, a=document)
        with pytest.raises(InvalidInput):
            await storage.increment(SPACE, "a", "n")
        assert await storage.compare_and_set(SPACE, "a", {}, {"n": 1}) is False
        assert await storage.get(SPACE, "a") == document


async def test_an_increment_is_a_finite_number(storage: AsyncStorage) -> None:
    wrong: Any
    for wrong in (float("nan"), float("inf"), "1", True, None):
        with pytest.raises(InvalidInput):
            await storage.increment(SPACE, "a", "n", wrong)
    assert await storage.get(SPACE, "a") is None


async def test_a_sum_must_be_a_number(storage: AsyncStorage) -> None:
    await save(storage, a={"n": 1.7e308})
    with pytest.raises(InvalidInput):
        await storage.increment(SPACE, "a", "n", 1.7e308)
    assert await storage.get(SPACE, "a") == {"n": 1.7e308}


async def test_fields_are_set_if_others_are_equal(storage: AsyncStorage) -> None:
    """[32] The patch is merged at the top, and nowhere else."""
    await save(storage, a={"state": "new", "deep": {"x": 1}, "kept": True})
    patch = {"state": "done", "deep": {"y": 2}, "more": None}
    assert await storage.compare_and_set(SPACE, "a", {"state": "old"}, patch) is False
    assert await storage.compare_and_set(SPACE, "a", {"state": "new"}, patch) is True
    assert await storage.get(SPACE, "a") == {**patch, "kept": True}
    assert await storage.compare_and_set(SPACE, "a", {"state": "new"}, patch) is False
    assert await storage.compare_and_set(SPACE, "a", {}, {"state": "any"}) is True
    assert await storage.compare_and_set(SPACE, "missing", {}, {"n": 1}) is False
    assert await storage.get(SPACE, "missing") is None


HELD = {"n": 1, "deep": {"a": 1, "b": [1, 2]}, "none": None, "empty": [], "date": T2024}


EXPECTED: list[tuple[dict[str, Any], bool]] = [
    ({"n": 1, "none": None}, True),
    ({"n": 1.0}, True),
    ({"n": "1"}, False),
    ({"n": True}, False),
    ({"n": 1, "none": 0}, False),
    ({"deep": {"b": [1, 2], "a": 1}}, True),
    ({"deep": {"a": 1}}, False),
    ({"deep": {"a": 1, "b": [2, 1]}}, False),
    ({"none": None}, True),
    ({"missing": None}, False),
    ({"empty": []}, True),
    ({"empty": {}}, False),
    ({"empty": None}, False),
    ({"date": T2024}, True),
    ({"date": T2024.isoformat()}, False),
]


async def test_what_is_expected_is_compared_deeply(storage: AsyncStorage) -> None:
    """[S12]"""
    for expected, equal in EXPECTED:
        await save(storage, a=HELD)
        told = await storage.compare_and_set(SPACE, "a", expected, {"new": 1})
        assert (expected, told) == (expected, equal)
        assert await storage.get(SPACE, "a") == ({**HELD, "new": 1} if equal else HELD)


async def test_a_change_keeps_everything_else_exactly(storage: AsyncStorage) -> None:
    """[S14] [S15]"""
    held = {"list": [], "object": {}, "deep": [[], {}], "big": BIG, "long": 2**53 + 1, "nul": "\0"}
    await save(storage, a={**held, "n": 1, "float": 1.0, "date": T2024})
    await storage.increment(SPACE, "a", "n")
    assert await storage.compare_and_set(SPACE, "a", {"list": []}, {"done": []}) is True
    found = await storage.get(SPACE, "a")
    assert found == {**held, "n": 2, "float": 1.0, "date": T2024, "done": []}
    assert isinstance(found["float"], float)


@needs("large_text")
async def test_a_patch_must_be_storable(storage: AsyncStorage) -> None:
    await save(storage, a={"n": 1})
    with pytest.raises(PayloadError):
        await storage.compare_and_set(SPACE, "a", {}, {"n": float("nan")})
    with pytest.raises(PayloadError):
        await storage.compare_and_set(SPACE, "a", {"n": object()}, {})
    half = "x" * 600_000
    assert await storage.compare_and_set(SPACE, "a", {}, {"half": half}) is True
    with pytest.raises(PayloadTooLarge):
        await storage.compare_and_set(SPACE, "a", {}, {"other-half": half})
    assert await storage.get(SPACE, "a") == {"n": 1, "half": half}
