"""What a document may be: it comes back as it was, or is refused before anything is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from oqron_sql.contract.async_adapters import AsyncStorage
from oqron_sql.contract.codec import MAX_BYTES
from oqron_sql.errors import PayloadError, PayloadTooLarge
from oqron_sql.testing.adapter_harness import needs
from oqron_sql.testing.adapters.steps import SPACE, T2024, save

FAITHFUL: list[Any] = [
    None, True, False, 0, -1, 2**53 + 1, 2**70, -(2**63), 0.1, -0.5, 1e308, 5e-324, 1.0,
    "", "text", "NUL \0 inside", "\x7f\u2028", "😀 ñ ß", "  blanks  ", '"quoted" \\',
    [], {}, [[]], [{}, []], {"": {"": ""}}, {"a.b": 1, "$": 2, "$set": {"x": 1}},
    {"deep": {"er": [1, None, {"x": [True]}]}},
    {"__type": "Date", "__val": "2024-01-01T00:00:00.000Z"},
    {"$datetime": "2024-01-01T00:00:00+00:00"}, {"$$datetime": [1]}, {"$datetime": 1, "x": 2},
    "2024-01-01T00:00:00Z",
    T2024, datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC), [T2024], {"at": {"deep": T2024}},
]  # fmt: skip
UNFAITHFUL: list[Any] = [
    float("nan"), float("inf"), "\ud800", b"bytes", object(), {1, 2}, {1: "number as a key"},
    datetime(2024, 1, 1), {"\ud800": 1},  # noqa: DTZ001  # naive is what is tested
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
]  # fmt: skip


async def test_a_value_comes_back_as_it_was(storage: AsyncStorage) -> None:
    """[S15] [S16] [S17] At the top and inside, with its type."""
    given = {f"top-{n}": value for n, value in enumerate(FAITHFUL)}
    given |= {f"inside-{n}": {"v": [value]} for n, value in enumerate(FAITHFUL)}
    await storage.bulk_save(SPACE, list(given.items()))
    found = await storage.get_many(SPACE, list(given))
    assert found == given
    assert [*map(type, found.values())] == [*map(type, given.values())]
    assert await storage.list(SPACE) == list(given.values())[::-1]


async def test_what_json_cannot_carry_is_refused(storage: AsyncStorage) -> None:
    await save(storage, a={"n": 1})
    for value in UNFAITHFUL:
        for document in (value, {"v": value}, {"list": [1, [value]]}):
            with pytest.raises(PayloadError):
                await storage.save(SPACE, "a", document)
            with pytest.raises(PayloadError):
                await storage.save_if_absent(SPACE, "new", document)
    assert await storage.list(SPACE) == [{"n": 1}]


async def test_tuples_become_lists_and_instants_utc(storage: AsyncStorage) -> None:
    away = T2024.astimezone(timezone(timedelta(hours=-8)))
    await save(storage, a={"tuple": (1, (2,)), "at": away})
    found = await storage.get(SPACE, "a")
    assert found == {"tuple": [1, [2]], "at": T2024}
    assert found["at"].utcoffset() == timedelta(0)


async def test_a_stored_null_is_there(storage: AsyncStorage) -> None:
    """[S17]"""
    await storage.save(SPACE, "a", None)
    assert await storage.get(SPACE, "a") is None
    assert await storage.save_if_absent(SPACE, "a", 1) is False
    assert await storage.delete(SPACE, "a") is True


@needs("large_text")
async def test_a_document_may_be_as_long_as_the_limit(storage: AsyncStorage) -> None:
    """The limit is of its JSON, in bytes."""
    longest = "ä" * (MAX_BYTES // 2 - 1)
    await storage.save(SPACE, "a", longest)
    assert await storage.get(SPACE, "a") == longest
    with pytest.raises(PayloadTooLarge):
        await storage.save(SPACE, "a", longest + "x")
    with pytest.raises(PayloadTooLarge):
        await storage.bulk_save(SPACE, [("b", 1), ("a", longest + "x")])
    assert await storage.get(SPACE, "a") == longest
    assert await storage.count(SPACE) == 1
