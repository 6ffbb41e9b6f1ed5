"""Pages of documents, and how many there are."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from sqlalchemy import func, select

from oqron_sql.contract import codec
from oqron_sql.contract.adapters import Document, Filter, OrderBy, Where
from oqron_sql.contract.checks import LARGEST_COUNT, check_name
from oqron_sql.contract.documents import check_query
from oqron_sql.queries.search import Search
from oqron_sql.queries.tx import Tx


def list_documents(
    tx: Tx,
    namespace: str,
    filter: Filter | None = None,
    *,
    where: Sequence[Where] = (),
    order_by: OrderBy | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[Document]:
    """Return the documents that match, by default the newest first."""
    check_name("namespace", namespace)
    query = check_query(filter, where, order_by, limit, offset)
    if limit == 0:
        return []
    if not (query.filter or query.where or query.order_by):
        return _page(tx, namespace, limit, offset)
    found = Search(tx, namespace, query).run()
    return [each.document for each in query.arrange(found, operator.attrgetter("document"))]


def count(
    tx: Tx, namespace: str, filter: Filter | None = None, *, where: Sequence[Where] = ()
) -> int:
    """Return how many documents match."""
    check_name("namespace", namespace)
    query = check_query(filter, where)
    documents = tx.tables.documents
    if query.filter or query.where:
        return Search(tx, namespace, query).count()
    every = select(func.count()).select_from(documents).where(documents.c.namespace == namespace)
    return tx.conn.scalar(every) or 0


def _page(tx: Tx, namespace: str, limit: int | None, offset: int) -> list[Document]:
    documents = tx.tables.documents
    query = (
        select(documents.c.data)
        .where(documents.c.namespace == namespace)
        .order_by(documents.c.record_time.desc(), documents.c.seq.desc())
    )
    if limit is not None:
        query = query.limit(min(limit, LARGEST_COUNT))
    if offset:
        query = query.offset(min(offset, LARGEST_COUNT))
    return [codec.loads(text) for text in tx.conn.scalars(query)]
