"""The documents of one namespace in Redis: their keys, and what is done with them."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Self

from oqron_sql.contract import codec, documents
from oqron_sql.contract.adapters import Document
from oqron_sql.errors import StoreUnavailable
from oqron_sql.hiding import hiding
from oqron_sql.redis import keys
from oqron_sql.redis.connection import RedisConnection
from oqron_sql.redis.script import Script

PAGE = 200
PRUNED_AT_ONCE = 500
ATTEMPTS = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STAMP = 16
"""How many characters before the text say when a document was first saved."""

SAVE, SWAP, DELETE, PRUNE = (
    Script("request", "documents", name) for name in ("save", "swap", "delete", "prune")
)
PAGES = Script("request", "documents", "page", changes=False)


@hiding("text")
@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """A document that is about to be saved."""

    id: str
    text: str
    time: int | str
    """The record time that it states, in microseconds, or nothing."""

    @classmethod
    def of(cls, id: str, data: Document) -> Self:
        """Return it as it will be stored.

        Raises:
            PayloadError: JSON cannot carry it.
        """
        text = codec.dumps(data)
        states = isinstance(data, dict) and not data.keys().isdisjoint(("createdAt", "expiresAt"))
        time = documents.record_time(codec.loads(text)) if states else None
        return cls(id, text, "" if time is None else _microseconds(time))


class Change(Protocol):
    """What is to be made of a document; None if nothing is."""

    def __call__(self, document: Document | None, *, exists: bool) -> Document | None:
        """Return the new document. May be called again with another one."""


class Namespace:
    """The documents of one namespace."""

    def __init__(self, connection: RedisConnection, name: str) -> None:
        self._connection = connection
        self._base = keys.base(connection.prefix, "store", name)
        self._keys = tuple(f"{self._base}:{part}" for part in ("documents", "times", "last"))
        self._documents = self._keys[0]

    async def save(self, written: Sequence[Written], *, if_absent: bool = False) -> int:
        """Save all or none; return how many."""
        given = [part for one in written for part in (one.id, one.text, one.time)]
        return int(await self._once(SAVE, int(if_absent), *given)) if given else 0

    async def get(self, ids: Sequence[str]) -> dict[str, Document]:
        """Return those that exist."""
        found: dict[str, Document] = {}
        for first in range(0, len(ids), PAGE):
            asked = ids[first : first + PAGE]
            texts = await self._connection.command("HMGET", self._documents, *asked)
            found |= {
                one: _read(it) for one, it in zip(asked, texts, strict=True) if it is not None
            }
        return found

    async def newest_first(
        self, enough: int | None = None, skip: int = 0
    ) -> AsyncIterator[Document]:
        """Go through the documents page by page; a page has `enough` of them if that is less."""
        count = PAGE if enough is None else min(PAGE, enough)
        member, time = "", "0"
        while True:
            page = await self._connection.run(PAGES, self._keys[:2], member, time, skip, count)
            for text in page[2::3]:
                yield _read(text)
            if len(page) < 3 * count:
                return
            member, time, skip = page[-3], page[-2], 0

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete those that exist; return how many."""
        return int(await self._once(DELETE, *ids)) if ids else 0

    async def prune(self, before: datetime) -> int:
        """Delete those with an earlier record time; return how many."""
        total, pruned = 0, PRUNED_AT_ONCE
        while pruned == PRUNED_AT_ONCE:
            pruned = await self._once(PRUNE, _microseconds(before), PRUNED_AT_ONCE)
            total += pruned
        return total

    async def size(self) -> int:
        """Return how many documents there are."""
        return int(await self._connection.command("HLEN", self._documents))

    async def change(self, id: str, change: Change) -> bool:
        """Write what `change` makes of the document, unless somebody else wrote it meanwhile.

        Then that one is changed instead. Returns whether there was anything to write.

        Raises:
            StoreUnavailable: others always were faster.
        """
        seen = await self._connection.command("HGET", self._documents, id)
        for attempt in range(ATTEMPTS):
            held = keys.text(seen or "")
            changed = change(_read(held) if held else None, exists=bool(held))
            if changed is None:
                return False
            one = Written.of(id, changed)
            done, seen = await self._once(SWAP, id, held, one.text, one.time)
            if done:
                return True
            await asyncio.sleep(random.uniform(0, 0.001 * min(attempt, 20)))  # noqa: S311 - no secret
        raise StoreUnavailable("a change that others kept from being made")

    async def _once(self, script: Script, *args: Any) -> Any:
        return await self._connection.run_once(script, self._base, self._keys, *args)


def _read(text: bytes | str) -> Document:
    return codec.loads(keys.text(text)[_STAMP:])


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
