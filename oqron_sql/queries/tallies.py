"""How many finished jobs there are, so that counting them does not mean reading them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, delete, func, select

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


def forget(tx: Tx, queue: str) -> None:
    """Delete the tallies of a queue that is emptied."""
    table = tx.tables.tallies
    tx.conn.execute(delete(table).where(table.c.queue_name == queue))
