"""What becomes of claimed ids: acknowledged, handed back, or held for longer."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    Row,
    Table,
    bindparam,
    delete,
    null,
    select,
    update,
)

from oqron_sql.contract.asking import ambiguous, check_priority, check_ttl, token_of
from oqron_sql.contract.checks import check_duration, check_name, check_names
from oqron_sql.errors import ClaimLost
from oqron_sql.queries.claiming import HANDED_BACK, IN_TURN
from oqron_sql.queries.publishing import is_held, noted, publish_anew, tell
from oqron_sql.queries.tx import Tx
from oqron_sql.schema.adapter_tables import MESSAGE_STATES, MessageState
from oqron_sql.schema.tables import Tables

_ZERO = timedelta(0)


def ack(tx: Tx, broker: str, id: str) -> bool:
    """Take the id out; one that was published meanwhile waits."""
    check_names(broker=broker, id=id)
    token = token_of(id)
    params = {"broker": broker, "id": str(id)} | ({} if token is None else {"token": token})
    if tx.conn.execute(_acknowledging(tx.tables, token is not None), params).rowcount:
        return True
    tx.begin()
    found = _read(tx, broker, id, lock=True)
    if found is None or not _holds(broker, id, found):
        return False
    if found.again_delay is None:  # it was published again and claimed, all of it just now
        return ack(tx, broker, id)
    publish_anew(tx, found.seq, broker, noted(id, found))
    tell(tx, broker)
    return True


def remove(tx: Tx, broker: str, id: str) -> bool:
    """Take the id out, whatever is known of it."""
    check_names(broker=broker, id=id)
    messages = tx.tables.messages
    return tx.conn.execute(delete(messages).where(*_this(messages, broker, id))).rowcount == 1


def nack(
    tx: Tx, broker: str, id: str, delay: timedelta = _ZERO, priority: int | None = None
) -> bool:
    """Hand a claimed id back."""
    check_names(broker=broker, id=id)
    tx.check_end("delay", check_duration("delay", delay))
    messages, token = tx.tables.messages, token_of(id)
    values: dict[str, Any] = dict.fromkeys(("due", "consumer", "token", "again_delay"), null())
    if delay:
        due = tx.now(delay)
        state = MESSAGE_STATES[MessageState.DELAYED]
        values |= {"state": state, "turn": IN_TURN, "place": due, "due": due}
    else:
        values |= {"state": MESSAGE_STATES[MessageState.WAITING], "turn": HANDED_BACK}
    if priority is not None:
        values["priority"] = check_priority(priority)
    handing_back = update(messages).where(*_this(messages, broker, id), is_held(tx)).values(values)
    if token is not None:
        handing_back = handing_back.where(messages.c.token == token)
    tell(tx, broker)
    if tx.change(handing_back):
        return True
    tx.topics.clear()
    found = None if token is None else _read(tx, broker, id)
    if found is not None:
        _holds(broker, id, found)
    return False


def extend_lock(tx: Tx, id: str, consumer: str, ttl: timedelta, broker: str | None = None) -> None:
    """Let the claim of the id end at now + `ttl`."""
    check_names(id=id, consumer=consumer)
    tx.check_end("ttl", check_ttl(ttl))
    messages, token = tx.tables.messages, token_of(id)
    mine = [messages.c.id == str(id), messages.c.consumer == consumer, is_held(tx)]
    if token is not None:
        mine.append(messages.c.token == token)
    if broker is None:
        brokers = tx.conn.scalars(select(messages.c.broker).where(*mine)).all()
        if len(brokers) > 1:
            raise ambiguous(id, consumer)
        mine.append(messages.c.broker.in_(brokers))
    else:
        mine.append(messages.c.broker == check_name("broker", broker))
    if tx.conn.execute(update(messages).where(*mine).values(due=tx.written(ttl))).rowcount == 0:
        raise ClaimLost(broker, str(id), consumer)


@functools.lru_cache(maxsize=64)
def _acknowledging(tables: Tables, claimed: bool) -> Delete:
    messages = tables.messages
    statement = delete(messages).where(
        messages.c.id == bindparam("id", type_=messages.c.id.type),
        messages.c.broker == bindparam("broker", type_=messages.c.broker.type),
        messages.c.again_delay.is_(None),
    )
    if claimed:
        statement = statement.where(messages.c.token == bindparam("token"))
    return statement


def _read(tx: Tx, broker: str, id: str, *, lock: bool = False) -> Row[Any] | None:
    messages = tx.tables.messages
    columns = (
        *(messages.c.seq, messages.c.token, messages.c.again_delay, messages.c.again_priority),
        is_held(tx).label("held"),
    )
    query = select(*columns).where(*_this(messages, broker, id))
    if lock:
        query = tx.dialect.lock_rows(query, skip_locked=False)
    found: Row[Any] | None = tx.conn.execute(query).first()
    return found


def _holds(broker: str, id: str, found: Row[Any]) -> bool:
    """Whether `id`, if it is a claim, is the one of this row.

    Raises:
        ClaimLost: the row is claimed by somebody else.
    """
    token = token_of(id)
    if token is None or token == found.token:
        return True
    if found.held:
        raise ClaimLost(broker, str(id))
    return False


def _this(messages: Table, broker: str, id: str) -> tuple[ColumnElement[bool], ...]:
    return messages.c.id == str(id), messages.c.broker == broker
