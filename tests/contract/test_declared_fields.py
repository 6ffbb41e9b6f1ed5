"""Declared fields change how quickly documents are found, and never which: as in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oqron_sql.adapters import create_adapters
from oqron_sql.adapters.sql import SQLStorage
from oqron_sql.contract.adapters import OrderBy, Where
from oqron_sql.memory import MemoryStorage
from oqron_sql.queries import pruning, search
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

SPACE = "space"
DECLARED = ("a", "b")
SEARCHED = ("sqlite", "pg-psycopg-blocking", "maria-pymysql", "portable-sqlite", "portable-maria")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONG = "l" * 99
# Of each kind a few, and those that look alike to an index: in the sum they meet often.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 1.0, 2, -3.5, 2**53, 2**53 + 1, 2**70, -(2**70), 1e300, 10**400),
    *("", "a", "b", "B", "ä", "\U0001f600", "\uffff", "true", "1", "a\0b", "a\x01", "a\x01b"),
    *(LONG, LONG + "a", LONG + "ab", LONG + "b", "1970-01-01T00:00:00.002Z", "1970-01-01"),
    *(EPOCH, EPOCH + timedelta(milliseconds=2), EPOCH + timedelta(milliseconds=1.5)),
    *([], [1], {}, {"a": 1}, "x", "y"),
)


@pytest.fixture
def url(backend: str, backends: Backends) -> str:
    if backend not in SEARCHED:
        pytest.skip("its database is searched with another driver")
    with installed():
        return backends.database(BACKENDS[backend]).url


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few are read at a time that it takes many times."""
    for name, bound in (("FEW", 4), ("KEYS", 5), ("DOCUMENTS", 3), ("LEAST", 2)):
        monkeypatch.setattr(search, name, bound)


def document(chance: random.Random, values: Sequence[Any]) -> dict[str, Any]:
    made = {field: chance.choice(values) for field in "abc" if chance.random() < 0.9}
    if chance.random() < 0.8:  # few instants, so that there are ties
        made["createdAt"] = EPOCH + timedelta(days=chance.randrange(3))
    return made


def queries(chance: random.Random, values: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for _ in range(60):
        query: dict[str, Any] = {}
        if chance.random() < 0.5:
            fields = chance.sample("abc", chance.randrange(1, 3))
            query["filter"] = {field: chance.choice(values) for field in fields}
        if chance.random() < 0.5:
            op: Any = chance.choice(["$lt", "$lte", "$gt", "$gte", "$ne"])
            query["where"] = [Where(chance.choice("abc"), op, chance.choice(values))]
        if chance.random() < 0.7:
            direction: Any = chance.choice(["asc", "desc"])
            kind: Any = chance.choice([None, "number", "date", "string"])
            query["order_by"] = OrderBy(chance.choice("abc"), direction, kind)
        if chance.random() < 0.7:
            query["limit"], query["offset"] = chance.randrange(1, 12), chance.randrange(8)
        yield query


@pytest.mark.parametrize("seed", range(6))
def test_every_query_is_answered_as_in_memory(url: str, bounds: None, seed: int) -> None:
    chance, memory = random.Random(seed), MemoryStorage()
    values = chance.sample(VALUES, (40, 12, 6)[seed % 3])
    with (
        SQLStorage(url, indexes={SPACE: DECLARED}) as storage,
        SQLStorage(url, indexes={SPACE: ("c", "a")}) as otherwise,
        SQLStorage(url) as plain,
    ):
        for n in range(60):
            made = document(chance, values)
            # Some are saved by processes that know of no fields, or of others.
            by = storage if seed < 3 else chance.choice([storage, storage, otherwise, plain])
            for each in (by, memory):
                each.save(SPACE, f"id-{n % 50}", {"n": n, **made})
        for query in queries(chance, values):
            assert storage.list(SPACE, **query) == memory.list(SPACE, **query), query
            asked = {name: query[name] for name in ("filter", "where") if name in query}
            assert storage.count(SPACE, **asked) == memory.count(SPACE, **asked), query


def test_every_page_of_an_order_with_ties(url: str, bounds: None) -> None:
    """Also of texts of which an index sees no difference, and of what it does not know of."""
    memory = MemoryStorage()
    values: list[Any] = [0, 0, 0, 0, "a", "a\0b", "a", LONG + "b", LONG + "ba", LONG + "a", 1, 1]
    with SQLStorage(url, indexes={SPACE: DECLARED}) as storage, SQLStorage(url) as plain:
        for n, value in enumerate(values):
            made = {"n": n, "a": value, "createdAt": EPOCH + timedelta(days=n % 3)}
            for each in (storage, memory):
                each.save(SPACE, f"id-{n}", made)
        for each in (plain, memory):  # it was first, and is last now
            each.save(SPACE, "id-2", {"n": 2, "a": 9})
        for order in (OrderBy("a"), OrderBy("a", "desc")):
            for offset in range(len(values)):
                for limit in (1, 2, 3):
                    page: dict[str, Any] = {"order_by": order, "limit": limit, "offset": offset}
                    assert storage.list(SPACE, **page) == memory.list(SPACE, **page), page


def test_what_changes_is_found_by_what_it_is_now(url: str) -> None:
    with SQLStorage(url, indexes={SPACE: DECLARED}) as storage:
        storage.bulk_save(SPACE, [(f"id-{n}", {"a": n % 3, "b": "x", "n": n}) for n in range(9)])
        assert storage.count(SPACE, {"a": 1}) == 3
        storage.save(SPACE, "id-1", {"a": 2})
        assert storage.increment(SPACE, "id-4", "a", 5) == 6
        assert storage.compare_and_set(SPACE, "id-7", {"a": 1}, {"a": "y"}) is True
        assert storage.count(SPACE, {"a": 1}) == 0
        assert storage.list(SPACE, {"a": 6}) == [{"a": 6, "b": "x", "n": 4}]
        assert storage.save_if_absent(SPACE, "new", {"a": 1}) is True
        assert storage.list(SPACE, {"a": 1}) == [{"a": 1}]
        assert storage.delete(SPACE, "new") is True
        assert storage.bulk_delete(SPACE, ["id-4", "gone"]) == 1
        assert storage.prune(SPACE, datetime.now(UTC) + timedelta(days=1)) == 8
        assert rows_of_fields(storage) == 0


def test_connecting_indexes_what_was_saved_without(url: str) -> None:
    with SQLStorage(url) as plain:
        plain.bulk_save(SPACE, [(f"id-{n}", {"a": n}) for n in range(7)])
    with SQLStorage(url, indexes={SPACE: DECLARED}) as storage:
        assert rows_of_fields(storage) == 7
        assert storage.list(SPACE, {"a": 3}) == [{"a": 3}]
    with SQLStorage(url) as plain:  # knows of no fields, and leaves none behind
        plain.save(SPACE, "id-1", {"a": 3})
        plain.save(SPACE, "id-2", {"a": 3})
        assert plain.delete(SPACE, "id-2") is True
    with SQLStorage(url, indexes={SPACE: DECLARED}) as storage:
        assert storage.count(SPACE, {"a": 3}) == 2
        assert rows_of_fields(storage) == 6


def test_pruning_goes_on_in_steps(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of one instant in a step and some not, with and without declared fields."""
    monkeypatch.setattr(pruning, "BATCH", 4)
    chance, memory = random.Random(0), MemoryStorage()
    with SQLStorage(url, indexes={SPACE: DECLARED}) as storage, SQLStorage(url) as plain:
        for n in range(60):
            made = {"n": n, "a": n, "createdAt": EPOCH + timedelta(days=chance.choice([1, 2, 9]))}
            for each in (chance.choice([storage, plain]), memory):
                each.save(SPACE, f"id-{n}", made)
        for day in (0, 1, 2, 9, 10):
            before = EPOCH + timedelta(days=day, milliseconds=day % 2)
            assert storage.prune(SPACE, before) == memory.prune(SPACE, before)
            assert storage.list(SPACE) == memory.list(SPACE)
        assert rows_of_fields(storage) == 0


ALL = tuple(name for name, backend in BACKENDS.items() if not backend.in_memory)


@pytest.mark.parametrize("isolated", [True, False])
async def test_a_factory_declares_them_as_the_storage_knows_them(
    backend: str, backends: Backends, isolated: bool
) -> None:
    if backend not in ALL:
        pytest.skip("it lives in one connection")
    with installed():
        url = backends.database(BACKENDS[backend]).url
    options = {"indexes": {SPACE: DECLARED}}
    made = create_adapters("db", db=url, db_options=options, project="a:b%", isolated=isolated)
    async with made as adapters:
        await adapters.storage.save(SPACE, "1", {"a": 1, "c": 1})
        await adapters.storage.save("elsewhere", "1", {"a": 1, "c": 1})
        assert await adapters.storage.list(SPACE, {"a": 1}) == [{"a": 1, "c": 1}]
        written: Any = adapters.storage.base if isolated else adapters.storage  # type: ignore[attr-defined]
        fields = await written.run(lambda tx: tx.conn.execute(tx.tables.fields.select()).all())
    namespace = "oqron:a%3Ab%25:development:space" if isolated else SPACE
    assert [(row.namespace, row.field, row.number) for row in fields] == [(namespace, "a", 1)]


def rows_of_fields(storage: SQLStorage) -> int:
    return storage.run(lambda tx: len(tx.conn.execute(tx.tables.fields.select()).all()))
