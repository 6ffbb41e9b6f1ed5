"""The storage on Redis."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from oqron_sql.contract import documents
from oqron_sql.contract.adapters import Document, Filter, OrderBy, Where
from oqron_sql.contract.checks import LARGEST_COUNT, check_instant, check_names
from oqron_sql.redis.connection import RedisConnection
from oqron_sql.redis.namespace import Namespace, Written

if TYPE_CHECKING:
    from oqron_sql.contract.async_adapters import AsyncStorage


class AsyncRedisStorage:
    """An awaitable storage on Redis. Filters are applied here, to one page after another."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        # Callers of this process change a document one after another: fewer changes are in vain.
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def save(self, namespace: str, id: str, data: Document) -> None:
        """Save the document, in place of the one that was there: nothing is merged."""
        await self._namespace(namespace, id).save([Written.of(id, data)])

    async def save_if_absent(self, namespace: str, id: str, data: Document) -> bool:
        """Save the document unless the id is taken; whether it was saved."""
        found = self._namespace(namespace, id)
        return await found.save([Written.of(id, data)], if_absent=True) == 1

    async def get(self, namespace: str, id: str) -> Document | None:
        """Return a copy of the document, or None."""
        return (await self.get_many(namespace, [id])).get(id)

    async def get_many(self, namespace: str, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents that exist, by id, in the order asked for."""
        documents.check_ids(namespace, ids)
        return await self._namespace(namespace).get(list(dict.fromkeys(ids)))

    async def list(
        self,
        namespace: str,
        filter: Filter | None = None,
        *,
        where: Sequence[Where] = (),
        order_by: OrderBy | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> builtins.list[Document]:
        """Return the documents that match; by default the newest record time first."""
        query = documents.check_query(filter, where, order_by, limit, offset)
        found = self._namespace(namespace)
        if limit == 0:
            return []
        if not (query.filter or query.where or order_by):
            page = found.newest_first(limit, skip=min(offset, LARGEST_COUNT))
            return [document async for document in _first(page, limit)]
        enough = None if order_by or limit is None else offset + limit
        matching = _first(_matching(found, query), enough)
        return query.arrange([each async for each in matching], lambda document: document)

    async def delete(self, namespace: str, id: str) -> bool:
        """Delete the document; whether there was one."""
        return await self._namespace(namespace, id).delete([id]) == 1

    async def bulk_save(self, namespace: str, records: Sequence[tuple[str, Document]]) -> None:
        """Save all or none of `records`, pairs of id and document; of equal ids the last wins."""
        documents.check_records(namespace, records)
        await self._namespace(namespace).save([Written.of(key, data) for key, data in records])

    async def bulk_delete(self, namespace: str, ids: Sequence[str]) -> int:
        """Delete those that exist; return how many."""
        documents.check_ids(namespace, ids)
        return await self._namespace(namespace).delete(list(ids))

    async def prune(self, namespace: str, before: datetime) -> int:
        """Delete the documents whose record time is earlier than `before`; return how many."""
        return await self._namespace(namespace).prune(check_instant("before", before))

    async def count(
        self, namespace: str, filter: Filter | None = None, *, where: Sequence[Where] = ()
    ) -> int:
        """Return how many documents `list` would return without a limit."""
        query = documents.check_query(filter, where)
        found = self._namespace(namespace)
        if not query.filter and not query.where:
            return await found.size()
        return sum([1 async for _ in _matching(found, query)])

    async def increment(self, namespace: str, id: str, field: str, by: float = 1) -> float:
        """Add to a number in a field, atomically, and return the sum."""
        total = 0.0

        def add(document: Document | None, *, exists: bool) -> Document:
            nonlocal total
            changed, total = documents.increment(document if exists else {}, field, by)
            return changed

        found = self._namespace(namespace, id)
        async with self._turn(namespace, id):
            await found.change(id, add)
        return total

    async def compare_and_set(
        self, namespace: str, id: str, expected: Mapping[str, Any], patch: Mapping[str, Any]
    ) -> bool:
        """Write the fields of `patch` if all of `expected` are equal, as in a filter; atomically.

        False if they are not, or if there is no such document or it has no fields.
        """
        expected = documents.check_fields("expected", expected)
        patch = documents.check_fields("patch", patch)

        def write(document: Document | None, *, exists: bool) -> Document | None:
            return documents.patched(document, expected, patch) if exists else None

        found = self._namespace(namespace, id)
        async with self._turn(namespace, id):
            return await found.change(id, write)

    def _turn(self, namespace: str, id: str) -> asyncio.Lock:
        return self._turns.setdefault((namespace, id), asyncio.Lock())

    def _namespace(self, name: str, *ids: str) -> Namespace:
        check_names(namespace=name)
        for each in ids:
            check_names(id=each)
        return Namespace(self._connection, name)


async def _matching(namespace: Namespace, query: documents.Query) -> AsyncIterator[Document]:
    async for document in namespace.newest_first():
        if query.matches(document):
            yield document


async def _first(found: AsyncIterator[Document], enough: int | None) -> AsyncIterator[Document]:
    count = 0
    async for document in found:
        yield document
        count += 1
        if count == enough:
            return


if TYPE_CHECKING:
    _awaiting: type[AsyncStorage] = AsyncRedisStorage
