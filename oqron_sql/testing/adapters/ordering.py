"""In which order documents are listed, and pages of them."""

from __future__ import annotations

from typing import Any

import pytest

from oqron_sql.contract.adapters import OrderBy, Where
from oqron_sql.contract.async_adapters import AsyncStorage
from oqron_sql.errors import InvalidInput
from oqron_sql.testing.adapters.steps import HOUR, SECOND, SPACE, T2024, names, save

MS = T2024.timestamp() * 1000
MIXED: dict[str, Any] = {
    "ten": 10,
    "nine": 9,
    "half": 0.5,
    "negative": -1,
    "date": T2024,
    "iso": (T2024 + SECOND).isoformat(),
    "ms": MS + 2000,
    "text-10": "10",
    "text-9": "9",
    "Upper": "Z",
    "lower": "a",
    "true": True,
    "null": None,
    "list": [1],
    "missing": ...,
}
TEXTS = ["text-10", "iso", "text-9", "Upper", "lower"]
ORDERED: list[tuple[Any, list[str]]] = [
    ("number", ["negative", "half", "nine", "ten", "ms"]),
    ("date", ["negative", "half", "nine", "ten", "date", "iso", "ms"]),
    ("string", TEXTS),
    (
        None,
        ["negative", "half", "nine", "ten", "date", "ms", *TEXTS],
    ),
]


async def save_mixed(storage: AsyncStorage) -> None:
    for name, value in MIXED.items():
        document = {"name": name} if value is ... else {"name": name, "v": value}
        await storage.save(SPACE, name, document)


async def test_an_order_is_of_its_type(storage: AsyncStorage) -> None:
    """[34] [S6] What is no such value comes last both ways, as without an order."""
    await save_mixed(storage)
    for kind, ascending in ORDERED:
        last = [name for name in reversed(MIXED) if name not in ascending]
        up, down = OrderBy("v", "asc", kind), OrderBy("v", "desc", kind)
        assert (up, await names(storage, order_by=up)) == (up, ascending + last)
        assert (down, await names(storage, order_by=down)) == (down, ascending[::-1] + last)


async def test_ties_go_as_without_an_order(storage: AsyncStorage) -> None:
    for n in range(6):
        await storage.save(SPACE, str(n), {"name": str(n), "v": n % 2})
    assert await names(storage, order_by=OrderBy("v")) == ["4", "2", "0", "5", "3", "1"]
    assert await names(storage, order_by=OrderBy("v", "desc")) == ["5", "3", "1", "4", "2", "0"]


async def test_the_newest_come_first(storage: AsyncStorage) -> None:
    """[S3] By what a document states, else by when it was first saved."""
    await save(
        storage,
        stated={"name": "stated", "createdAt": T2024},
        unstated={"name": "unstated"},
        future={"name": "future", "createdAt": "2999-01-01T00:00:00Z"},
        number={"name": "number", "createdAt": (T2024 + HOUR).timestamp() * 1000},
        expiring={"name": "expiring", "expiresAt": T2024 - HOUR},
        both={"name": "both", "createdAt": T2024 + SECOND, "expiresAt": T2024 - 2 * HOUR},
        unreadable={"name": "unreadable", "createdAt": "yesterday", "expiresAt": T2024 - SECOND},
    )
    expected = ["future", "unstated", "number", "both", "stated", "unreadable", "expiring"]
    assert await names(storage) == expected


async def test_saving_again_keeps_the_place(storage: AsyncStorage) -> None:
    """[S3] The order of insertion decides among equals, however often they are saved."""
    for n in range(4):
        await storage.save(SPACE, str(n), {"name": str(n), "createdAt": T2024})
    await storage.save(SPACE, "1", {"name": "1", "createdAt": T2024})
    await storage.increment(SPACE, "0", "count")
    assert await names(storage) == ["3", "2", "1", "0"]
    await storage.delete(SPACE, "1")
    await storage.save(SPACE, "1", {"name": "1", "createdAt": T2024})
    assert await names(storage) == ["1", "3", "2", "0"]


async def test_without_a_time_the_first_saving_counts(storage: AsyncStorage) -> None:
    """[S3]"""
    for n in range(3):
        await storage.save(SPACE, str(n), {"name": str(n)})
    await storage.save(SPACE, "0", {"name": "0"})
    assert await names(storage) == ["2", "1", "0"]
    await storage.save(SPACE, "1", {"name": "1", "createdAt": "2999-01-01T00:00:00Z"})
    assert await names(storage) == ["1", "2", "0"]
    await storage.save(SPACE, "1", {"name": "1"})
    assert await names(storage) == ["2", "1", "0"]
    assert await storage.compare_and_set(SPACE, "0", {}, {"createdAt": "2999-01-01T00:00:00Z"})
    assert await names(storage) == ["0", "2", "1"]


async def test_a_bulk_is_inserted_in_order(storage: AsyncStorage) -> None:
    await storage.bulk_save(SPACE, [(str(n), {"name": str(n)}) for n in range(5)])
    assert await names(storage) == ["4", "3", "2", "1", "0"]


async def test_pages_follow_each_other(storage: AsyncStorage) -> None:
    """[6] [7] [24] [25] [S4] [S7]"""
    for n in range(5):
        await storage.save(SPACE, str(n), {"name": str(n), "v": n})
    down, up = [*"43210"], [*"01234"]
    for by, order in ((None, down), (OrderBy("v", "desc"), down), (OrderBy("v"), up)):
        assert await names(storage, order_by=by, limit=2) == order[:2]
        assert await names(storage, order_by=by, limit=2, offset=2) == order[2:4]
        assert await names(storage, order_by=by, limit=2, offset=4) == order[4:]
        assert await names(storage, order_by=by, offset=3) == order[3:]
        assert await names(storage, order_by=by, limit=2, offset=9) == []
        assert await names(storage, order_by=by, limit=0) == []
        assert await names(storage, order_by=by, limit=2**70) == order
        assert await names(storage, order_by=by, limit=2**70, offset=2**70) == []


async def test_pages_of_equals_follow_each_other(storage: AsyncStorage) -> None:
    """[S3] [S7] Nothing is on two pages, nothing on none: ties stand in one order."""
    documents = [(str(n), {"name": str(n), "v": n % 2, "createdAt": T2024}) for n in range(9)]
    await storage.bulk_save(SPACE, documents)
    for asked in ({}, {"order_by": OrderBy("v")}, {"filter": {"createdAt": T2024}}):
        everything = await names(storage, **asked)
        pages = [await names(storage, **asked, limit=2, offset=n) for n in range(0, 10, 2)]
        assert [name for page in pages for name in page] == everything
        assert len(set(everything)) == 9


async def test_many_documents_are_listed(storage: AsyncStorage) -> None:
    """[S4] [S7] More than a backend may read at once, with a page in the middle."""
    documents = [(str(n), {"name": str(n), "v": n, "odd": n % 2 == 1}) for n in range(1300)]
    await storage.bulk_save(SPACE, documents)
    newest = [str(n) for n in reversed(range(1300))]
    odd = newest[::2]
    assert await names(storage) == newest
    assert await names(storage, limit=3, offset=1000) == newest[1000:1003]
    assert await names(storage, {"odd": True}) == odd
    assert await names(storage, {"odd": True}, limit=300, offset=250) == odd[250:550]
    assert await names(storage, where=[Where("v", "$lt", 5)]) == newest[-5:]
    up = OrderBy("v")
    assert await names(storage, order_by=up, limit=400, offset=700) == newest[::-1][700:1100]
    assert await storage.count(SPACE, {"odd": True}) == 650


async def test_pages_are_cut_after_filtering(storage: AsyncStorage) -> None:
    """[26] And after ordering."""
    for n in range(9):
        await storage.save(SPACE, str(n), {"name": str(n), "v": n, "odd": n % 2 == 1})
    where = [Where("v", "$lt", 8)]
    assert await names(storage, {"odd": True}, where=where, limit=2, offset=1) == ["5", "3"]
    order = OrderBy("v")
    assert await names(storage, {"odd": True}, where=where, order_by=order, limit=2) == ["1", "3"]


async def test_a_page_that_cannot_be_is_refused(storage: AsyncStorage) -> None:
    """[S5]"""
    wrong: Any = "v", OrderBy("v", "up"), OrderBy("v", "asc", "text")  # type: ignore[arg-type]  # tested
    for asked in ({"limit": -1}, {"offset": -1}, {"limit": True}, {"limit": 1.5}):
        with pytest.raises(InvalidInput):
            await storage.list(SPACE, **asked)
    for order_by in wrong:
        with pytest.raises(InvalidInput):
            await storage.list(SPACE, order_by=order_by)
