"""How many finished jobs there are, so that counting them does not mean reading them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, bindparam, delete, func, select

from oqron_sql.contract.model import FINISHED, JobState
from oqron_sql.queries.tx import Tx


def add(tx: Tx, queue: str, state: str, n: int) -> None:
    """Count `n` more (or fewer) jobs in `state`; nothing for the states that are not tallied."""
    if n and state in FINISHED:
        table = tx.tables.tallies
        row = {**key(tx, queue, JobState(state)), "n": n}
        tx.dialect.upsert(tx, table, row, _more(table), {"more": n})


def key(tx: Tx, queue: str, state: JobState) -> dict[str, Any]:
    """Return the primary key of this store's tally."""
    return {"queue_name": queue, "state": state.value, "shard": tx.settings.shard}


@functools.cache
def _more(table: Table) -> dict[str, ColumnElement[int]]:
    return {"n": table.c.n + bindparam("more", type_=table.c.n.type)}


def add_all(tx: Tx, queue: str, states: Iterable[str], sign: int = 1) -> None:
    """Count each of `states`; in a fixed order, so that two stores cannot deadlock."""
    for state, n in sorted(Counter(map(str, states)).items()):
        add(tx, queue, state, sign * n)


def read(tx: Tx, queue: str) -> dict[JobState, int]:
    """Return how many jobs of the queue are completed and failed."""
    table = tx.tables.tallies
    found = tx.conn.execute(
        select(table.c.state, func.sum(table.c.n))
        .where(table.c.queue_name == queue)
        .group_by(table.c.state)
    )
    return dict.fromkeys(FINISHED, 0) | {JobState(state): int(n) for state, n in found}


def lock(tx: Tx, queue: str) -> Sequence[Row[Any]]:
    """Let nobody count in the tallies that a queue has now; return them."""
    table = tx.tables.tallies
    mine = select(table.c.queue_name, table.c.state, table.c.shard).order_by(*table.primary_key)
    mine = mine.where(table.c.queue_name == queue)
    return tx.conn.execute(tx.dialect.lock_rows(mine, skip_locked=False)).all()


def forget(tx: Tx, rows: Sequence[Row[Any]]) -> None:
    """Delete tallies that were locked, when no job is left that counts in them."""
    table = tx.tables.tallies
    for queue, state in sorted({(row.queue_name, row.state) for row in rows}):
        shards = [row.shard for row in rows if (row.queue_name, row.state) == (queue, state)]
        mine = (table.c.queue_name == queue, table.c.state == state, table.c.shard.in_(shards))
        tx.conn.execute(delete(table).where(*mine))
