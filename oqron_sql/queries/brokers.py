"""A broker as a whole: paused or not, and how much there is in it."""

from __future__ import annotations

from sqlalchemy import ColumnElement, ScalarSelect, delete, func, select

from oqron_sql.contract.adapters import BrokerCounts
from oqron_sql.contract.checks import check_name
from oqron_sql.queries.publishing import tell
from oqron_sql.queries.tx import Tx
from oqron_sql.schema.adapter_tables import MESSAGE_STATES, MessageState


def pause(tx: Tx, broker: str) -> None:
    """Hand out nothing until it is resumed."""
    tx.dialect.insert_ignore(tx, tx.tables.stopped, {"broker": check_name("broker", broker)})


def resume(tx: Tx, broker: str) -> None:
    """Hand out again."""
    stopped = tx.tables.stopped
    check_name("broker", broker)
    tell(tx, broker)
    if not tx.change(delete(stopped).where(stopped.c.broker == broker)):
        tx.topics.clear()


def is_paused(tx: Tx, broker: str) -> bool:
    """Whether the broker is paused."""
    stopped = tx.tables.stopped
    query = select(stopped.c.broker).where(stopped.c.broker == check_name("broker", broker))
    return tx.conn.execute(query).first() is not None


def size(tx: Tx, broker: str) -> int:
    """Return how many ids there are."""
    return counts(tx, broker).total


def counts(tx: Tx, broker: str) -> BrokerCounts:
    """Return how many ids there are per state, counting along the indexes."""
    check_name("broker", broker)
    messages, now = tx.tables.messages, tx.now()

    def those(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
        query = select(func.count()).select_from(messages)
        return query.where(messages.c.broker == broker, *conditions).scalar_subquery()

    later = messages.c.due > now
    waiting, over, delayed, claimed = tx.conn.execute(
        select(
            those(messages.c.state == MESSAGE_STATES[MessageState.WAITING]),
            those(messages.c.due <= now),
            those(later, messages.c.state == MESSAGE_STATES[MessageState.DELAYED]),
            those(later, messages.c.state == MESSAGE_STATES[MessageState.CLAIMED]),
        )
    ).one()
    return BrokerCounts(waiting + over, delayed, claimed)
