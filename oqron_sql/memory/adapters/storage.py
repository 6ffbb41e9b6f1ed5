"""The memory storage, twice: blocking and awaitable, over one set of bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oqron_sql.contract.clock import Clock
from oqron_sql.memory.adapters import documents
from oqron_sql.memory.adapters.documents import MemoryDocuments
from oqron_sql.memory.adapters.shell import Shell
from oqron_sql.memory.binding import awaiting, blocking

if TYPE_CHECKING:
    from oqron_sql.contract.adapters import Storage
    from oqron_sql.contract.async_adapters import AsyncStorage


class _Storage(Shell[MemoryDocuments]):
    def __init__(self, data: MemoryDocuments | None = None, *, clock: Clock | None = None) -> None:
        super().__init__(data or MemoryDocuments(), clock)


class MemoryStorage(_Storage):
    """A blocking storage in memory; its documents live in `data`, which others may share."""

    save = blocking(documents.save)
    save_if_absent = blocking(documents.save_if_absent)
    get = blocking(documents.get)
    get_many = blocking(documents.get_many)
    list = blocking(documents.list_documents)
    delete = blocking(documents.delete)
    bulk_save = blocking(documents.bulk_save)
    bulk_delete = blocking(documents.bulk_delete)
    prune = blocking(documents.prune)
    count = blocking(documents.count)
    increment = blocking(documents.increment)
    compare_and_set = blocking(documents.compare_and_set)


class AsyncMemoryStorage(_Storage):
    """An awaitable storage in memory; its documents live in `data`, which others may share."""

    save = awaiting(documents.save)
    save_if_absent = awaiting(documents.save_if_absent)
    get = awaiting(documents.get)
    get_many = awaiting(documents.get_many)
    list = awaiting(documents.list_documents)
    delete = awaiting(documents.delete)
    bulk_save = awaiting(documents.bulk_save)
    bulk_delete = awaiting(documents.bulk_delete)
    prune = awaiting(documents.prune)
    count = awaiting(documents.count)
    increment = awaiting(documents.increment)
    compare_and_set = awaiting(documents.compare_and_set)


if TYPE_CHECKING:
    _blocking: type[Storage] = MemoryStorage
    _awaiting: type[AsyncStorage] = AsyncMemoryStorage
