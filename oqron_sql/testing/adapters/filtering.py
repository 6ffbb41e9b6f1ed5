"""Which documents match: equality in filters, comparison in conditions."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import pytest

from oqron_sql.contract.adapters import Where
from oqron_sql.contract.async_adapters import AsyncStorage
from oqron_sql.errors import InvalidInput, PayloadError
from oqron_sql.testing.adapters.steps import SECOND, SPACE, T2024, names, save

FAR = timezone(timedelta(hours=5, minutes=30))
VALUES: dict[str, Any] = {
    "one": 1,
    "float": 1.5,
    "text-one": "1",
    "true": True,
    "false": False,
    "zero": 0,
    "null": None,
    "date": T2024,
    "iso": "2024-02-29T23:59:58.123Z",
    "list": [1, "a"],
    "empty-list": [],
    "object": {"a": 1, "b": [2]},
    "empty-object": {},
    "empty-text": "",
    "text": "tExt",
}
"""One document of each kind of value; the names are the ids."""

EQUAL: list[tuple[Any, set[str]]] = [
    (1, {"one"}),
    (1.0, {"one"}),
    ("1", {"text-one"}),
    (True, {"true"}),
    (0, {"zero"}),
    (False, {"false"}),
    (None, {"null"}),
    (T2024, {"date"}),
    (T2024.astimezone(FAR), {"date"}),
    ("2024-02-29T23:59:58.123Z", {"iso"}),
    ([1, "a"], {"list"}),
    ((1.0, "a"), {"list"}),
    ([1], set()),
    (["a", 1], set()),
    ([], {"empty-list"}),
    ({"b": [2], "a": 1}, {"object"}),
    ({"a": 1}, set()),
    ({}, {"empty-object"}),
    ("", {"empty-text"}),
    ("text", set()),
    ("%", set()),
]
ODD_FIELDS = [
    "a.b",
    "a b",
    'quo"te',
    "apos'trophe",
    "back\\slash",
    "$",
    "$.x",
    "[0]",
    "ключ",
    "",
    "%",
]

MS = int(T2024.timestamp() * 1000)


async def save_values(storage: AsyncStorage) -> None:
    records: list[tuple[str, Any]] = [
        (name, {"name": name, "v": value}) for name, value in VALUES.items()
    ]
    await storage.bulk_save(SPACE, [*records, ("missing", {"name": "missing"}), ("scalar", 1)])


async def test_a_filter_is_equality_with_types(storage: AsyncStorage) -> None:
    """[S8]"""
    await save_values(storage)
    for value, expected in EQUAL:
        assert (value, set(await names(storage, {"v": value}))) == (value, expected)
        assert (value, await storage.count(SPACE, {"v": value})) == (value, len(expected))


async def test_all_fields_of_a_filter_must_match(storage: AsyncStorage) -> None:
    """[5] [9] [16] [28]"""
    for n in range(6):
        await storage.save(SPACE, str(n), {"name": str(n), "even": n % 2 == 0, "big": n > 2})
    assert set(await names(storage, {"even": True})) == {"0", "2", "4"}
    assert await names(storage, {"even": True, "big": True}) == ["4"]
    assert await storage.count(SPACE, {"even": True, "big": True}) == 1
    assert await names(storage, {"even": True, "unknown": None}) == []
    assert await storage.count(SPACE, {}) == 6


async def test_fields_may_have_any_name(storage: AsyncStorage) -> None:
    """[S8]"""
    for n, field in enumerate(ODD_FIELDS):
        await storage.save(SPACE, f"id-{n}", {"name": field, field: n, "a": {"b": n}})
    for n, field in enumerate(ODD_FIELDS):
        assert await names(storage, {field: n}) == [field]
        assert await names(storage, where=[Where(field, "$gte", n)]) == [field]
        assert await storage.increment(SPACE, f"id-{n}", field) == n + 1
    assert await names(storage, {'a"."b': 1}) == []


async def test_text_with_a_nul_can_be_asked_for(storage: AsyncStorage) -> None:
    await save(storage, a={"name": "a", "v": "x\0y"}, b={"name": "b", "v": "x"})
    assert await names(storage, {"v": "x\0y"}) == ["a"]
    assert await names(storage, where=[Where("v", "$gt", "x\0")]) == ["a"]


OPERATORS: list[tuple[Any, str]] = [
    ("$lt", "01"),
    ("$lte", "012"),
    ("$gt", "34"),
    ("$gte", "234"),
    ("$ne", "0134"),
]


async def test_numbers_are_compared(storage: AsyncStorage) -> None:
    """[19] [20] [21] [S9] A missing field and null never meet a condition."""
    for n in range(5):
        await storage.save(SPACE, str(n), {"name": str(n), "v": n * 10})
    await save(storage, null={"name": "null", "v": None}, missing={"name": "missing"})
    for op, expected in OPERATORS:
        for bound in (20, 20.0):
            where = [Where("v", op, bound)]
            assert (op, sorted(await names(storage, where=where))) == (op, list(expected))
            assert await storage.count(SPACE, where=where) == len(expected)
        assert await names(storage, where=[Where("v", op, None)]) == []


COMPARED: list[tuple[Where, set[str]]] = [
    (Where("v", "$ne", 1), {"float", "zero", "date"}),
    (Where("v", "$gt", 1), {"float", "date"}),
    (Where("v", "$lt", "a"), {"text-one", "iso", "empty-text"}),
    (Where("v", "$gte", "tExt"), {"text"}),
    (Where("v", "$ne", "tExt"), {"text-one", "iso", "empty-text"}),
    (Where("v", "$gte", value=False), {"true", "false"}),
    (Where("v", "$lt", value=True), {"false"}),
    (Where("v", "$lte", T2024), {"one", "float", "zero", "date", "iso"}),
    (Where("v", "$lt", T2024), {"one", "float", "zero"}),
    (Where("v", "$gt", T2024 - SECOND), {"date", "iso"}),
    (Where("v", "$gte", T2024.astimezone(FAR)), {"date", "iso"}),
    (Where("v", "$ne", T2024), {"one", "float", "zero"}),
    (Where("v", "$gte", MS), {"date"}),
    (Where("v", "$lt", MS), {"one", "float", "zero"}),
    (Where("v", "$gte", "2024-02-29T23:59:58.123+00:00"), {"date", "iso", "text"}),
    (Where("v", "$ne", [1]), set()),
    (Where("v", "$gt", {}), set()),
    (Where("v", "$ne", None), set()),
    (Where("name", "$gt", 5), set()),
    (Where("unknown", "$ne", 5), set()),
]


async def test_what_cannot_be_compared_does_not_match(storage: AsyncStorage) -> None:
    """[S9]"""
    await save_values(storage)
    for where, expected in COMPARED:
        assert (where, set(await names(storage, where=[where]))) == (where, expected)
        assert (where, await storage.count(SPACE, where=[where])) == (where, len(expected))


async def test_no_operator_fails_on_any_value(storage: AsyncStorage) -> None:
    """[S9]"""
    await save_values(storage)
    for op in ("$lt", "$lte", "$gt", "$gte", "$ne"):
        for value in VALUES.values():
            where = [Where("v", op, value)]
            assert len(await storage.list(SPACE, where=where)) < len(VALUES)


async def test_text_is_compared_by_code_point(storage: AsyncStorage) -> None:
    texts = ["10", "9", "A", "Z", "a", "z", "ä", "ﬀ", "😀"]
    for text in texts:
        await storage.save(SPACE, f"id-{text}", {"name": text, "v": text})
    for n, text in enumerate(texts):
        assert set(await names(storage, where=[Where("v", "$lt", text)])) == set(texts[:n])


async def test_filters_and_conditions_combine(storage: AsyncStorage) -> None:
    """[22]"""
    for n in range(6):
        await storage.save(SPACE, str(n), {"name": str(n), "v": n, "even": n % 2 == 0})
    where = [Where("v", "$gt", 0), Where("v", "$lte", 4)]
    assert set(await names(storage, {"even": True}, where=where)) == {"2", "4"}
    assert await storage.count(SPACE, {"even": True}, where=where) == 2


async def test_an_unknown_operator_is_refused(storage: AsyncStorage) -> None:
    """[S10] Before a document is looked at, and so is what is no condition."""
    wrong: Any
    for wrong in ([("v", "$gt", 1)], Where("v", "$gt", 1), iter([Where("v", "$gt", 1)]), "v"):
        with pytest.raises(InvalidInput):
            await storage.list(SPACE, where=wrong)
    where = [Where("v", "$in", [1])]  # type: ignore[arg-type]  # is what is tested
    with pytest.raises(InvalidInput, match=r"\$in"):
        await storage.list(SPACE, where=where)
    with pytest.raises(InvalidInput, match=r"\$in"):
        await storage.count(SPACE, where=where)


async def test_what_is_no_filter_is_refused(storage: AsyncStorage) -> None:
    """Though it is empty: it could be meant for anything but everything."""
    wrong: Any
    for wrong in ([], "", 0, False, [("v", 1)]):
        with pytest.raises(InvalidInput):
            await storage.list(SPACE, wrong)
        with pytest.raises(InvalidInput):
            await storage.count(SPACE, wrong)


async def test_what_json_cannot_carry_cannot_be_asked_for(storage: AsyncStorage) -> None:
    for value in (float("nan"), T2024.replace(tzinfo=None), "\ud800", {1: 2}):
        with pytest.raises(PayloadError):
            await storage.list(SPACE, {"v": value})
        with pytest.raises(PayloadError):
            await storage.count(SPACE, where=[Where("v", "$lt", value)])
