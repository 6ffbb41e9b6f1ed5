"""Documents whose time is over, deleted by ranges of the index that has them in that order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select

from oqron_sql.contract.checks import check_instant, check_name
from oqron_sql.queries.documents import delete_rows, is_plain
from oqron_sql.queries.tx import Tx

# How many one transaction deletes: as long as each is a fraction of a second, the more the faster.
BATCH = 5000


def prune_step(tx: Tx, limit: int, *, namespace: str, before: datetime) -> int:
    """Delete up to `limit` documents whose record time is earlier than `before`."""
    check_name("namespace", namespace)
    check_instant("before", before)
    documents, pruned = tx.tables.documents, 0
    tx.begin()
    for old in _oldest(tx, limit, namespace, before):
        # A document that is saved meanwhile with another time stays: the condition is asked again.
        plain = delete(documents).where(*old, is_plain(documents))
        pruned += tx.conn.execute(plain).rowcount
        # What is left has rows in `fields`, which only a list of its keys can name.
        pruned += delete_rows(tx, select(documents.c.seq, documents.c.indexed).where(*old))
    return pruned


def _oldest(
    tx: Tx, limit: int, namespace: str, before: datetime
) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """Return the ranges that have the first `limit` documents, as conditions.

    There are two, for one instant may have more than all: those before it, and the first of it. In
    one condition, some databases would read either all of the instant or all of the namespace.
    """
    documents = tx.tables.documents
    time, seq = documents.c.record_time, documents.c.seq
    here = documents.c.namespace == namespace
    order = select(time, seq).where(here, time < before).order_by(time, seq)
    last = tx.conn.execute(order.offset(limit - 1).limit(1)).first()
    if last is None:
        yield here, time < before
    else:
        yield here, time < last.record_time
        yield here, time == last.record_time, seq <= last.seq
