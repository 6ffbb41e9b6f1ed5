"""Letting ids wait: one that is new, one that waits already, and one that is claimed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    case,
    delete,
    literal_column,
    select,
    update,
)

from oqron_sql.contract.adapters import Message
from oqron_sql.contract.asking import check_messages
from oqron_sql.contract.checks import check_name
from oqron_sql.contract.topics import topic
from oqron_sql.queries.tx import Contended, Tx
from oqron_sql.schema.adapter_tables import MESSAGE_STATES, MessageState

RIVALS = 20
CHUNK = 1000
_MICROSECOND = timedelta(microseconds=1)
_ZERO = timedelta(0)


def publish(tx: Tx, broker: str, id: str, delay: timedelta = _ZERO, priority: int = 0) -> None:
    """Let the id wait; once more, if it is claimed."""
    check_name("broker", broker)
    (message,) = _checked(tx, [Message(id, delay, priority)])
    tell(tx, broker)
    for _ in range(RIVALS):
        if tx.dialect.insert_ignore(tx, tx.tables.messages, row_of(broker, message)):
            return
        if _replace(tx, broker, message):
            return
    raise Contended


def publish_batch(tx: Tx, broker: str, messages: Sequence[Message]) -> None:
    """Publish all or none, in order."""
    check_name("broker", broker)
    kept = _checked(tx, messages)
    if not kept:
        return
    tx.begin()
    tell(tx, broker)
    for start in range(0, len(kept), CHUNK):
        _publish_chunk(tx, broker, kept[start : start + CHUNK])


def _checked(tx: Tx, messages: Sequence[Message]) -> list[Message]:
    kept = check_messages(messages)
    for message in kept:
        tx.check_end("delay", message.delay)
    return kept


def tell(tx: Tx, broker: str) -> None:
    """Wake those who wait for an id of the broker, when the transaction is committed."""
    tx.tell(topic("broker", broker))


def is_held(tx: Tx) -> ColumnElement[bool]:
    """Return the condition that an id known by its key is claimed, and not past its deadline.

    It is hidden from the planner, which with stale statistics takes the index of deadlines for
    empty and reads all of it instead of one row by its key.
    """
    messages = tx.tables.messages
    claimed = messages.c.state == MESSAGE_STATES[MessageState.CLAIMED]
    return case((and_(claimed, messages.c.due > tx.now()), literal_column("1")), else_=0) == 1


def row_of(broker: str, message: Message) -> dict[str, Any]:
    """Return the row of a new publication; timedeltas count from now."""
    row = {"broker": broker, "id": str(message.id), "priority": message.priority}
    if not message.delay:
        return {**row, "state": MessageState.WAITING.value, "place": _ZERO}
    return {
        **row,
        "state": MessageState.DELAYED.value,
        "place": message.delay,
        "due": message.delay,
    }


def noted(id: str, row: Row[Any]) -> Message:
    """Return the publication that was written down while the id was claimed."""
    return Message(str(id), row.again_delay * _MICROSECOND, row.again_priority)


def publish_anew(tx: Tx, seq: int, broker: str, message: Message) -> None:
    """Put a publication in the place of a row that is locked."""
    messages = tx.tables.messages
    tx.conn.execute(delete(messages).where(messages.c.seq == seq))
    # A row of its own: its number, which comes after all others, is given by the database.
    if not tx.dialect.insert_ignore(tx, messages, row_of(broker, message)):
        raise Contended


def _replace(tx: Tx, broker: str, message: Message) -> bool:
    """Publish an id that is there; False if it is there no more."""
    tx.begin()
    found = tx.conn.execute(_there(tx, broker, [message.id])).first()
    if found is None:
        return False
    if found.held:
        _note(tx, found.seq, message)
    else:
        publish_anew(tx, found.seq, broker, message)
    return True


def _publish_chunk(tx: Tx, broker: str, kept: list[Message]) -> None:
    messages = tx.tables.messages
    there = tx.conn.execute(_there(tx, broker, [message.id for message in kept])).all()
    held = {row.id: row.seq for row in there if row.held}
    waiting = [row.seq for row in there if not row.held]
    if waiting:
        tx.conn.execute(delete(messages).where(messages.c.seq.in_(waiting)))
    for message in kept:
        if message.id in held:
            _note(tx, held[message.id], message)
    new = [message for message in kept if message.id not in held]
    if not new:
        return
    names: tuple[str, ...] = ("broker", "id", "priority", "state")
    timed: tuple[str, ...] = ("place",)
    rows = [[broker, str(m.id), m.priority, MessageState.WAITING.value] for m in new]
    if any(message.delay for message in new):
        names, timed, now = (*names, "place", "due"), (), tx.read_clock()
        for row, message in zip(rows, new, strict=True):
            _delay(row, message.delay, now)
    # What somebody else publishes at this moment counts as published after it, and stays.
    tx.dialect.insert_many(tx, messages, names, rows, timed=timed)


def _delay(row: list[Any], delay: timedelta, now: datetime) -> None:
    if delay:
        row[-1] = MessageState.DELAYED.value
    row += [now + delay, now + delay if delay else None]


def _there(tx: Tx, broker: str, ids: Sequence[str]) -> Select[Any]:
    """Select and lock those of the ids that are there, always in the same order."""
    messages = tx.tables.messages
    query = select(messages.c.seq, messages.c.id, is_held(tx).label("held")).where(
        messages.c.broker == broker, messages.c.id.in_(list(map(str, ids)))
    )
    return tx.dialect.lock_rows(query.order_by(messages.c.id), skip_locked=False)


def _note(tx: Tx, seq: int, message: Message) -> None:
    """Write down what to publish when the claim is acknowledged."""
    messages = tx.tables.messages
    noted = (
        update(messages)
        .where(messages.c.seq == seq)
        .values(again_delay=message.delay // _MICROSECOND, again_priority=message.priority)
    )
    if tx.conn.execute(noted).rowcount == 0:
        raise Contended
