"""The documents of the memory storage, and what its methods do with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from oqron_sql.contract import codec, documents
from oqron_sql.contract.adapters import Document, Filter, OrderBy, Where
from oqron_sql.contract.checks import check_instant, check_names
from oqron_sql.hiding import hiding
from oqron_sql.memory.adapters.shell import Call, Data


@hiding("text")
@dataclasses.dataclass(slots=True)
class Row:
    """One document, as JSON: nobody can change it from outside."""

    text: str
    record_time: datetime
    saved: datetime
    seq: int

    def read(self) -> Document:
        """Return a copy of the document."""
        return codec.loads(self.text)


class MemoryDocuments(Data):
    """The documents of one or more memory storages; those given the same one share them."""

    def __init__(self) -> None:
        super().__init__()
        self.namespaces: dict[str, dict[str, Row]] = {}
        self.last_seq = 0

    def read(self, namespace: str) -> Mapping[str, Row]:
        """Return the rows of a namespace, by id."""
        return self.namespaces.get(namespace, {})

    def write(self, namespace: str, id: str, text: str, now: datetime) -> None:
        """Insert or replace a row; a replaced one keeps its age."""
        rows = self.namespaces.setdefault(namespace, {})
        row = rows.get(id)
        if row is None:
            self.last_seq += 1
            row = rows[id] = Row(text, now, now, self.last_seq)
        row.text = text
        row.record_time = documents.record_time(row.read()) or row.saved

    def discard(self, namespace: str, id: str) -> bool:
        """Delete a row; whether there was one."""
        rows = self.namespaces.get(namespace, {})
        found = rows.pop(id, None) is not None
        if found and not rows:
            del self.namespaces[namespace]
        return found


def save(call: Call[MemoryDocuments], namespace: str, id: str, data: Document) -> None:
    """Save the document."""
    bulk_save(call, namespace, [(id, data)])


def save_if_absent(call: Call[MemoryDocuments], namespace: str, id: str, data: Document) -> bool:
    """Save the document unless the id is taken."""
    check_names(namespace=namespace, id=id)
    text = codec.dumps(data)
    if id in call.data.read(namespace):
        return False
    call.data.write(namespace, id, text, call.now)
    return True


def get(call: Call[MemoryDocuments], namespace: str, id: str) -> Document | None:
    """Return a copy of the document, or None."""
    return get_many(call, namespace, [id]).get(id)


def get_many(
    call: Call[MemoryDocuments], namespace: str, ids: Sequence[str]
) -> dict[str, Document]:
    """Return copies of those that exist."""
    documents.check_ids(namespace, ids)
    rows = call.data.read(namespace)
    return {each: rows[each].read() for each in ids if each in rows}


def list_documents(
    call: Call[MemoryDocuments],
    namespace: str,
    filter: Filter | None = None,
    *,
    where: Sequence[Where] = (),
    order_by: OrderBy | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[Document]:
    """Return copies of those that match."""
    query = documents.check_query(filter, where, order_by, limit, offset)
    found = list(_matching(call, namespace, query))
    found.sort(key=lambda pair: (pair[0].record_time, pair[0].seq), reverse=True)
    return [document for _, document in query.arrange(found, lambda pair: pair[1])]


def delete(call: Call[MemoryDocuments], namespace: str, id: str) -> bool:
    """Delete the document."""
    check_names(namespace=namespace, id=id)
    return call.data.discard(namespace, id)


def bulk_save(
    call: Call[MemoryDocuments], namespace: str, records: Sequence[tuple[str, Document]]
) -> None:
    """Save all or none."""
    documents.check_records(namespace, records)
    texts = [(each, codec.dumps(data)) for each, data in records]
    for each, text in texts:
        call.data.write(namespace, each, text, call.now)


def bulk_delete(call: Call[MemoryDocuments], namespace: str, ids: Sequence[str]) -> int:
    """Delete those that exist."""
    documents.check_ids(namespace, ids)
    return sum(call.data.discard(namespace, each) for each in ids)


def prune(call: Call[MemoryDocuments], namespace: str, before: datetime) -> int:
    """Delete those whose record time is earlier."""
    check_names(namespace=namespace)
    check_instant("before", before)
    old = [each for each, row in call.data.read(namespace).items() if row.record_time < before]
    return sum(call.data.discard(namespace, each) for each in old)


def count(
    call: Call[MemoryDocuments],
    namespace: str,
    filter: Filter | None = None,
    *,
    where: Sequence[Where] = (),
) -> int:
    """Return how many match."""
    return sum(1 for _ in _matching(call, namespace, documents.check_query(filter, where)))


def increment(
    call: Call[MemoryDocuments], namespace: str, id: str, field: str, by: float = 1
) -> float:
    """Add to a number in a field."""
    check_names(namespace=namespace, id=id)
    row = call.data.read(namespace).get(id)
    changed, total = documents.increment(row.read() if row else {}, field, by)
    call.data.write(namespace, id, codec.dumps(changed), call.now)
    return total


def compare_and_set(
    call: Call[MemoryDocuments],
    namespace: str,
    id: str,
    expected: Mapping[str, Any],
    patch: Mapping[str, Any],
) -> bool:
    """Write the fields of `patch` if all of `expected` are equal."""
    check_names(namespace=namespace, id=id)
    expected = documents.check_fields("expected", expected)
    patch = documents.check_fields("patch", patch)
    row = call.data.read(namespace).get(id)
    changed = documents.patched(row.read(), expected, patch) if row else None
    if changed is None:
        return False
    call.data.write(namespace, id, codec.dumps(changed), call.now)
    return True


def _matching(
    call: Call[MemoryDocuments], namespace: str, query: documents.Query
) -> Iterator[tuple[Row, Document]]:
    check_names(namespace=namespace)
    for row in call.data.read(namespace).values():
        document = row.read()
        if query.matches(document):
            yield row, document
