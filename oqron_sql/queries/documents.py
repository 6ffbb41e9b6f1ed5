"""Documents: saved, read, changed and deleted."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    Update,
    bindparam,
    case,
    delete,
    func,
    select,
    update,
)

from oqron_sql.contract import codec
from oqron_sql.contract import documents as meaning
from oqron_sql.contract.adapters import Document
from oqron_sql.contract.checks import check_names
from oqron_sql.queries.fields import OUTDATED, UNMARKED, forget, unmarked, write_down
from oqron_sql.queries.tx import INSTANT, Contended, Tx

CHUNK_ROWS, CHUNK_BYTES = 500, 4 * 1024 * 1024
RIVALS = 20
_ZERO = timedelta(0)
T = TypeVar("T")


def save(tx: Tx, namespace: str, id: str, data: Document) -> None:
    """Save the document, in place of the one that was there."""
    check_names(namespace=namespace, id=id)
    text = codec.dumps(data, tx.settings.max_payload)
    if namespace in tx.declared:
        _save_all(tx, namespace, {id: text})
        return
    row, stated = _row(namespace, id, text), _stated(text)
    params: dict[str, Any] = {"its_data": text}
    if stated is not None:
        row["record_time"] = params["its_time"] = stated
    changes = _replacing(tx.tables.documents, stated is not None)
    tx.dialect.upsert(tx, tx.tables.documents, row, changes, params)


def save_if_absent(tx: Tx, namespace: str, id: str, data: Document) -> bool:
    """Save the document unless the id is taken."""
    check_names(namespace=namespace, id=id)
    return _insert(tx, namespace, id, codec.dumps(data, tx.settings.max_payload))


def get(tx: Tx, namespace: str, id: str) -> Document | None:
    """Return the document, or None."""
    check_names(namespace=namespace, id=id)
    documents = tx.tables.documents
    text = tx.conn.scalar(select(documents.c.data).where(*_this(documents, namespace, id)))
    return None if text is None else codec.loads(text)


def get_many(tx: Tx, namespace: str, ids: Sequence[str]) -> dict[str, Document]:
    """Return the documents that exist, by id, in the order asked for."""
    meaning.check_ids(namespace, ids)
    documents, found = tx.tables.documents, {}
    for chunk in _chunks(dict.fromkeys(ids)):
        query = select(documents.c.id, documents.c.data).where(
            documents.c.namespace == namespace, documents.c.id.in_(chunk)
        )
        found.update({row.id: row.data for row in tx.conn.execute(query)})
    return {each: codec.loads(found[each]) for each in ids if each in found}


def delete_document(tx: Tx, namespace: str, id: str) -> bool:
    """Delete the document; whether there was one."""
    check_names(namespace=namespace, id=id)
    documents = tx.tables.documents
    this = _this(documents, namespace, id)
    if tx.conn.execute(delete(documents).where(*this, is_plain(documents))).rowcount:
        return True
    return bulk_delete(tx, namespace, [id]) == 1


def bulk_save(tx: Tx, namespace: str, records: Sequence[tuple[str, Document]]) -> None:
    """Save all or none; of equal ids the last wins."""
    meaning.check_records(namespace, records)
    limit = tx.settings.max_payload
    _save_all(tx, namespace, {each: codec.dumps(data, limit) for each, data in records})


def bulk_delete(tx: Tx, namespace: str, ids: Sequence[str]) -> int:
    """Delete those that exist; return how many."""
    meaning.check_ids(namespace, ids)
    documents, n = tx.tables.documents, 0
    tx.begin()
    for chunk in _chunks(sorted(set(ids))):
        rows = select(documents.c.seq, documents.c.indexed).where(
            documents.c.namespace == namespace, documents.c.id.in_(chunk)
        )
        n += delete_rows(tx, rows.order_by(documents.c.id))
    return n


def increment(tx: Tx, namespace: str, id: str, field: str, by: float = 1) -> float:
    """Add to a number in a field, and return the sum."""
    check_names(namespace=namespace, id=id)
    tx.begin()
    for _ in range(RIVALS):
        found = _lock(tx, namespace, id)
        document, total = meaning.increment(codec.loads(found.data) if found else {}, field, by)
        text = codec.dumps(document, tx.settings.max_payload)
        if found:
            _save_all(tx, namespace, {id: text})
            return total
        if _insert(tx, namespace, id, text):
            return total
    raise Contended


def compare_and_set(
    tx: Tx, namespace: str, id: str, expected: Mapping[str, Any], patch: Mapping[str, Any]
) -> bool:
    """Write the fields of `patch` if all of `expected` are equal."""
    check_names(namespace=namespace, id=id)
    expected = meaning.check_fields("expected", expected)
    patch = meaning.check_fields("patch", patch)
    tx.begin()
    found = _lock(tx, namespace, id)
    document = meaning.patched(codec.loads(found.data), expected, patch) if found else None
    if document is None:
        return False
    _save_all(tx, namespace, {id: codec.dumps(document, tx.settings.max_payload)})
    return True


def index_step(tx: Tx, limit: int, *, namespace: str) -> int:
    """Write down the fields of up to `limit` documents of which others were written down."""
    declared, documents = tx.declared[namespace], tx.tables.documents
    tx.begin()
    seqs = tx.conn.scalars(unmarked(tx, namespace, declared, documents.c.seq).limit(limit)).all()
    columns = (documents.c.seq, documents.c.record_time, documents.c.data)
    query = select(*columns).where(documents.c.seq.in_(seqs)).order_by(documents.c.seq)
    rows = tx.conn.execute(tx.dialect.lock_rows(query, skip_locked=False)).all()
    if rows:
        marked = update(documents).where(documents.c.seq.in_([row.seq for row in rows]))
        tx.conn.execute(marked.values(indexed=declared.mark))
        write_down(tx, namespace, declared, [(row, codec.loads(row.data)) for row in rows])
    return len(rows)


def delete_rows(tx: Tx, query: Select[Any]) -> int:
    """Delete the documents of `query`, which selects `seq` and `indexed`; return how many."""
    documents, n = tx.tables.documents, 0
    rows = tx.conn.execute(tx.dialect.lock_rows(query, skip_locked=False)).all()
    for chunk in _chunks(rows):
        indexed = [row.seq for row in chunk if row.indexed != UNMARKED]
        if indexed:
            forget(tx, indexed)
        gone = delete(documents).where(documents.c.seq.in_([row.seq for row in chunk]))
        n += tx.conn.execute(gone).rowcount
    return n


def is_plain(documents: Table) -> ColumnElement[bool]:
    """Return that no fields of a document are written down."""
    # Hidden from the planner, which might go by the marks.
    return func.coalesce(documents.c.indexed, UNMARKED) == UNMARKED


def _save_all(tx: Tx, namespace: str, texts: Mapping[str, str]) -> None:
    """Save documents, given as JSON."""
    if not texts:
        return
    tx.begin()
    for chunk in _chunks(texts.items(), lambda item: len(item[1])):
        _save_chunk(tx, namespace, dict(chunk))


def _save_chunk(tx: Tx, namespace: str, texts: dict[str, str]) -> None:
    documents, declared = tx.tables.documents, tx.declared.get(namespace)
    times = {each: _stated(text) for each, text in texts.items()}
    known = {row.id: row.seq for row in tx.conn.execute(_locked(tx, namespace, texts))}
    mark = UNMARKED if declared is None else declared.mark
    changed = [
        {"its_seq": known[each], "its_data": text, "its_time": times[each], "its_mark": mark}
        for each, text in texts.items()
        if each in known
    ]
    if changed:
        # One by one: where a batch is joined, MariaDB reads, and locks, all of a short table.
        tx.conn.execute(_changing(documents), changed)
    new = [each for each in texts if each not in known]
    if new:
        now = tx.read_clock()
        names = ("namespace", "id", "data", "record_time", "saved_at", "indexed")
        rows = [[namespace, each, texts[each], times[each] or now, now, mark] for each in new]
        # What somebody else saves at this moment counts as saved after it, and stays.
        tx.dialect.insert_many(tx, documents, names, rows, timed=())
    if declared is not None:
        saved = tx.conn.execute(_locked(tx, namespace, texts)).all()
        write_down(tx, namespace, declared, [(row, codec.loads(row.data)) for row in saved])


def _insert(tx: Tx, namespace: str, id: str, text: str) -> bool:
    declared = tx.declared.get(namespace)
    if declared is not None:
        tx.begin()
    row, stated = _row(namespace, id, text), _stated(text)
    if declared is not None:
        row["indexed"] = declared.mark
    if stated is not None:
        row["record_time"] = stated
    if not tx.dialect.insert_ignore(tx, tx.tables.documents, row):
        return False
    if declared is not None:
        saved = tx.conn.execute(_locked(tx, namespace, [id])).all()
        write_down(tx, namespace, declared, [(row, codec.loads(text)) for row in saved])
    return True


def _lock(tx: Tx, namespace: str, id: str) -> Any:
    return tx.conn.execute(_locked(tx, namespace, [id])).first()


def _locked(tx: Tx, namespace: str, ids: Iterable[str]) -> Select[Any]:
    documents = tx.tables.documents
    columns = (documents.c.seq, documents.c.id, documents.c.record_time, documents.c.data)
    query = select(*columns).where(
        documents.c.namespace == namespace, documents.c.id.in_(list(ids))
    )
    return tx.dialect.lock_rows(query.order_by(documents.c.id), skip_locked=False)


def _this(documents: Table, namespace: str, id: str) -> tuple[ColumnElement[bool], ...]:
    return documents.c.namespace == namespace, documents.c.id == id


def _row(namespace: str, id: str, text: str) -> dict[str, Any]:
    row = {"namespace": namespace, "id": id, "data": text, "indexed": UNMARKED}
    return {**row, "record_time": _ZERO, "saved_at": _ZERO}


def _stated(text: str) -> datetime | None:
    """Return the record time that a document states."""
    return (
        meaning.record_time(codec.loads(text))
        if "createdAt" in text or "expiresAt" in text
        else None
    )


@functools.cache
def _replacing(documents: Table, stated: bool) -> dict[str, ColumnElement[Any]]:
    """Return what becomes of a document that was there, whose fields are not written down."""
    return {
        "data": bindparam("its_data", type_=documents.c.data.type),
        "record_time": bindparam("its_time", type_=INSTANT) if stated else documents.c.saved_at,
        "indexed": case((documents.c.indexed == UNMARKED, UNMARKED), else_=OUTDATED),
    }


@functools.cache
def _changing(documents: Table) -> Update:
    stated = bindparam("its_time", type_=INSTANT)
    return (
        update(documents)
        .where(documents.c.seq == bindparam("its_seq"))
        .values(
            data=bindparam("its_data", type_=documents.c.data.type),
            record_time=func.coalesce(stated, documents.c.saved_at),
            indexed=bindparam("its_mark"),
        )
    )


def _chunks(items: Iterable[T], size: Any = lambda _: 0) -> Iterator[list[T]]:
    """Return the items in lists that are neither too long nor too large."""
    chunk: list[T] = []
    total = 0
    for item in items:
        if chunk and (len(chunk) == CHUNK_ROWS or total + size(item) > CHUNK_BYTES):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += size(item)
    if chunk:
        yield chunk
