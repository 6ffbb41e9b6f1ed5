"""Saving, reading and deleting documents."""

from __future__ import annotations

from typing import Any

import pytest

from oqron_sql.contract.async_adapters import AsyncStorage
from oqron_sql.errors import InvalidInput, PayloadError
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import SPACE, each_raises, names, save


async def test_a_saved_document_is_read_back(storage: AsyncStorage) -> None:
    """[1] [15]"""
    document = {"name": "a", "n": 1, "deep": {"list": [1, {"x": None}], "flag": True}}
    await storage.save(SPACE, "a", document)
    assert await storage.get(SPACE, "a") == document


async def test_what_is_not_there_is_none(storage: AsyncStorage) -> None:
    """[2]"""
    assert await storage.get(SPACE, "a") is None
    await save(storage, b={})
    assert await storage.get(SPACE, "a") is None


async def test_saving_replaces_and_merges_nothing(storage: AsyncStorage) -> None:
    """[3] [S1]"""
    await save(storage, a={"old": 1, "both": 1})
    await save(storage, a={"both": 2})
    assert await storage.get(SPACE, "a") == {"both": 2}
    assert await storage.count(SPACE) == 1


async def test_a_document_is_copied_in_and_out(storage: AsyncStorage) -> None:
    """[S2]"""
    given: dict[str, Any] = {"list": [1]}
    await storage.save(SPACE, "a", given)
    given["list"].append(2)
    for found in (
        await storage.get(SPACE, "a"),
        (await storage.get_many(SPACE, ["a"]))["a"],
        (await storage.list(SPACE))[0],
    ):
        assert found == {"list": [1]}
        found["list"].append(3)
    assert await storage.get(SPACE, "a") == {"list": [1]}


async def test_saving_unless_it_is_there(storage: AsyncStorage) -> None:
    """[30]"""
    assert await storage.save_if_absent(SPACE, "a", {"n": 1}) is True
    assert await storage.save_if_absent(SPACE, "a", {"n": 2}) is False
    assert await storage.get(SPACE, "a") == {"n": 1}
    assert await storage.delete(SPACE, "a") is True
    assert await storage.save_if_absent(SPACE, "a", {"n": 3}) is True


async def test_many_are_read_at_once(storage: AsyncStorage) -> None:
    await save(storage, a={"n": 1}, b={"n": 2}, c=None)
    found = await storage.get_many(SPACE, ["c", "missing", "a"])
    assert list(found.items()) == [("c", None), ("a", {"n": 1})]
    assert list(await storage.get_many(SPACE, ["b", "a", "b"])) == ["b", "a"]
    assert await storage.get_many(SPACE, []) == {}
    assert await storage.get_many("elsewhere", ["a"]) == {}


async def test_everything_is_listed(storage: AsyncStorage) -> None:
    """[4] [23]"""
    assert await storage.list(SPACE) == []
    for n in range(12):
        await storage.save(SPACE, f"id-{n}", {"name": str(n)})
    assert sorted(await names(storage), key=int) == [str(n) for n in range(12)]


async def test_documents_are_counted(storage: AsyncStorage) -> None:
    """[8] [10] [27] [29]"""
    assert await storage.count(SPACE) == 0
    await save(storage, a={}, b={}, c={})
    assert await storage.count(SPACE) == 3
    assert await storage.count("elsewhere") == 0


async def test_a_deleted_document_is_gone(storage: AsyncStorage) -> None:
    """[11] [12] [17]"""
    await save(storage, a={}, b={})
    assert await storage.delete(SPACE, "a") is True
    assert await storage.delete(SPACE, "a") is False
    assert await storage.delete("elsewhere", "b") is False
    assert await storage.get(SPACE, "a") is None
    assert await storage.count(SPACE) == 1


async def test_namespaces_are_apart(storage: AsyncStorage) -> None:
    """[14]"""
    await storage.save(SPACE, "a", {"in": SPACE})
    await storage.save("elsewhere", "a", {"in": "elsewhere"})
    assert await storage.get(SPACE, "a") == {"in": SPACE}
    assert await storage.list("elsewhere") == [{"in": "elsewhere"}]
    await storage.delete(SPACE, "a")
    assert await storage.get("elsewhere", "a") == {"in": "elsewhere"}


async def test_many_are_saved_at_once(storage: AsyncStorage) -> None:
    """[33] Of equal ids the last wins."""
    await save(storage, a={"old": 1})
    await storage.bulk_save(SPACE, [("a", {"n": 1}), ("b", {"n": 2}), ("b", {"n": 3}), ("c", [])])
    found = await storage.get_many(SPACE, ["a", "b", "c"])
    assert found == {"a": {"n": 1}, "b": {"n": 3}, "c": []}
    await storage.bulk_save(SPACE, [])
    assert await storage.count(SPACE) == 3


async def test_a_bulk_of_hundreds_is_saved_and_deleted(storage: AsyncStorage) -> None:
    ids = [f"id-{n}" for n in range(700)]
    await storage.bulk_save(SPACE, [(each, {"n": n}) for n, each in enumerate(ids)])
    assert list(await storage.get_many(SPACE, ids)) == ids
    assert await storage.bulk_delete(SPACE, ids[:650]) == 650
    assert await storage.count(SPACE) == 50


async def test_many_are_deleted_at_once(storage: AsyncStorage) -> None:
    await save(storage, a={}, b={}, c={})
    assert await storage.bulk_delete(SPACE, ["a", "missing", "c", "a"]) == 2
    assert await storage.bulk_delete(SPACE, []) == 0
    assert await storage.count(SPACE) == 1


@pytest.mark.parametrize("bad", [{"x": float("nan")}, {"x": object()}])
async def test_one_bad_document_keeps_all_of_a_bulk_out(storage: AsyncStorage, bad: Any) -> None:
    """[S18]"""
    await save(storage, a={"old": 1})
    with pytest.raises(PayloadError):
        await storage.bulk_save(SPACE, [("a", {"new": 1}), ("b", bad), ("c", {})])
    with pytest.raises(InvalidInput):
        await storage.bulk_save(SPACE, [("a", {"new": 1}), ("", {})])
    with pytest.raises(InvalidInput):
        await storage.bulk_delete(SPACE, ["a", ""])
    assert await storage.list(SPACE) == [{"old": 1}]


async def test_many_are_given_in_a_list(storage: AsyncStorage) -> None:
    """What can be gone through once is refused, since it would be empty when tried again."""
    await save(storage, a={"n": 1})
    wrong: Any
    for wrong in ("a", None, (each for each in ["a"])):
        await each_raises(
            InvalidInput,
            (storage.get_many, SPACE, wrong),
            (storage.bulk_delete, SPACE, wrong),
            (storage.bulk_save, SPACE, wrong),
        )
    await each_raises(
        InvalidInput,
        (storage.bulk_save, SPACE, [("b", {}), ("a",)]),
        (storage.bulk_save, SPACE, ["ab"]),
        (storage.bulk_save, SPACE, {"b": {}}),
    )
    assert await storage.list(SPACE) == [{"n": 1}]
    assert await storage.get_many(SPACE, ("a",)) == {"a": {"n": 1}}


@needs("shared_data")
async def test_another_instance_sees_it_at_once(
    storage: AsyncStorage, harness: AdapterHarness
) -> None:
    other = await harness.storage()
    await save(storage, a={"n": 1})
    assert await other.get(SPACE, "a") == {"n": 1}
    await other.increment(SPACE, "a", "n")
    assert await storage.get(SPACE, "a") == {"n": 2}
