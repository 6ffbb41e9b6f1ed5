"""At most so many leases in any span: an exact log, read and written by one fetch at a time."""

from __future__ import annotations

from sqlalchemy import delete, func, insert, select

from oqron_sql.contract.durations import to_ms
from oqron_sql.contract.options import RateLimit
from oqron_sql.queries.tx import Tx


def left(tx: Tx, queue: str, limit: RateLimit) -> int:
    """Return how many leases the limit still allows now; forgets what is past its span."""
    takes, since = tx.tables.takes, tx.now(-limit.duration)
    mine = (takes.c.queue_name == queue, takes.c.window_ms == to_ms(limit.duration))
    tx.conn.execute(delete(takes).where(*mine, takes.c.taken_at <= since))
    taken = select(func.coalesce(func.sum(takes.c.n), 0)).where(*mine)
    return limit.max - int(tx.conn.scalar(tx.current(taken)) or 0)


def take(tx: Tx, queue: str, limit: RateLimit, n: int) -> None:
    """Record `n` leases."""
    tx.conn.execute(
        insert(tx.tables.takes).values(
            queue_name=queue, window_ms=to_ms(limit.duration), taken_at=tx.now(), n=n
        )
    )
