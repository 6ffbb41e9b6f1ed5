"""Messages to whoever listens now: rows that are read for a while, then swept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import case, delete, func, or_, select

from oqron_sql.contract import codec
from oqron_sql.contract.adapters import MESSAGE_BYTES
from oqron_sql.contract.checks import check_name
from oqron_sql.contract.topics import topic
from oqron_sql.queries.tx import Tx

BROADCASTS = topic("broadcasts", "")
KEPT = timedelta(minutes=5)
BATCH = 500


def broadcast(tx: Tx, channel: str, message: Any) -> None:
    """Send the message to whoever listens on the channel."""
    row = {
        "channel": check_name("channel", channel),
        "body": codec.dumps(message, MESSAGE_BYTES),
        "sent_at": timedelta(0),
    }
    tx.tell(BROADCASTS)
    tx.dialect.insert_ignore(tx, tx.tables.broadcasts, row)


def newest(tx: Tx) -> int:
    """Return the number of the newest message; 0 if there is none."""
    return tx.conn.scalar(select(func.max(tx.tables.broadcasts.c.id))) or 0


class Question(NamedTuple):
    """What came after a number, or is there now of those missed; with the bodies of channels."""

    after: int
    missed: list[int]
    channels: list[str]


def since(tx: Tx, question: Question) -> Sequence[Any]:
    """Return the messages asked for, in order."""
    number, missed, channels = question
    table = tx.tables.broadcasts
    body = case((table.c.channel.in_(channels), table.c.body))
    query = select(table.c.id, table.c.channel, body.label("body"))
    wanted = or_(table.c.id > number, table.c.id.in_(missed))
    return tx.conn.execute(query.where(wanted).order_by(table.c.id)).all()


def sweep_step(tx: Tx, *, limit: int = BATCH) -> int:
    """Delete up to `limit` messages that were there for long enough.

    The newest one stays: whoever subscribes reads on from there, and knows what is missing.
    """
    table = tx.tables.broadcasts
    newest = select(func.max(table.c.id)).scalar_subquery()
    old = (table.c.sent_at < tx.now(-KEPT)).label("old")
    first = select(table.c.id, old).where(table.c.id < newest).order_by(table.c.id).limit(limit)
    gone = [row.id for row in tx.conn.execute(first) if row.old]
    if not gone:
        return 0
    return tx.conn.execute(delete(table).where(table.c.id.in_(gone))).rowcount
