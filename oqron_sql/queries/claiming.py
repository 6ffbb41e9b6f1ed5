"""Claiming ids that wait: the heart of the broker.

What is due or was not acknowledged in time is never walked past: it is promoted first, in bounded
batches, and then waits like all others. A claim is one statement while there is nothing to promote,
which that statement finds out for itself.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    Table,
    bindparam,
    case,
    exists,
    literal_column,
    null,
    select,
    type_coerce,
    update,
)

from oqron_sql.contract.adapters import Claim, Strategy
from oqron_sql.contract.asking import check_strategy, check_ttl
from oqron_sql.contract.checks import LARGEST_COUNT, check_count, check_name
from oqron_sql.contract.ids import new_id
from oqron_sql.dialects import Claim as Change
from oqron_sql.dialects import Dialect
from oqron_sql.queries.publishing import noted, publish_anew, tell
from oqron_sql.queries.tx import INSTANT, Tx
from oqron_sql.schema.adapter_tables import MESSAGE_STATES, MessageState
from oqron_sql.schema.tables import Tables

# How many are promoted at a time, and how often in one claim: more than that fall due together so
# rarely that the claims of that moment may miss those behind.
BATCH, BATCHES = 500, 20
HANDED_BACK, IN_TURN = 0, 1
_ZERO = timedelta(0)
_RETURNED = ("seq", "id", "priority", "turn", "place", "deliveries")


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What there is for a claimant, and how long it takes at most until there is more."""

    ready: bool
    rest: timedelta | None


def claim(
    tx: Tx,
    broker: str,
    consumer: str,
    limit: int,
    ttl: timedelta,
    strategy: Strategy | str = Strategy.FIFO,
) -> list[Claim]:
    """Claim up to `limit` ids, in the order of `strategy`."""
    check_name("broker", broker)
    check_name("consumer", consumer)
    limit = min(check_count("limit", limit), LARGEST_COUNT)
    tx.check_end("ttl", check_ttl(ttl))
    order = check_strategy(strategy)
    if limit == 0:
        return []
    token = new_id()
    params = {"in_broker": broker, "for_consumer": consumer, "by_token": token}
    params |= tx.spans(ttl=ttl, now=_ZERO)
    rows = list(tx.dialect.claim(tx, _quick(tx.tables, tx.dialect, order), {**params, "n": limit}))
    if not rows and _is_pending(tx, order, params):
        rows = _claim_slowly(tx, order, limit, params)
    return [Claim(row.id, token, row.deliveries) for row in _in_order(order, rows)]


def look(tx: Tx, broker: str) -> Look:
    """Return whether there may be something to claim, in one cheap statement."""
    query = _looking(tx.tables, tx.dialect)
    stopped, waiting, due, now = tx.conn.execute(
        query, {"in_broker": broker, **tx.spans(now=_ZERO)}
    ).one()
    if stopped:
        return Look(ready=False, rest=None)
    rest = None if due is None else due - now
    return Look(ready=bool(waiting) or (rest is not None and rest <= _ZERO), rest=rest)


def give_back(tx: Tx, broker: str, claims: Sequence[Claim]) -> None:
    """Let claims be as if they had never been made: nobody learned of them.

    What was published meanwhile is published now.
    """
    messages = tx.tables.messages
    undone = {
        "state": MESSAGE_STATES[MessageState.WAITING],
        "deliveries": messages.c.deliveries - 1,
        **dict.fromkeys(("due", "consumer", "token"), null()),
    }
    tx.begin()
    tell(tx, broker)
    for each in claims:
        mine = (
            *(messages.c.id == str(each), messages.c.broker == broker),
            messages.c.token == each.token,
        )
        again = (messages.c.seq, messages.c.again_delay, messages.c.again_priority)
        query = tx.dialect.lock_rows(select(*again).where(*mine), skip_locked=False)
        found = tx.conn.execute(query).first()
        if found is not None and found.again_delay is not None:
            publish_anew(tx, found.seq, broker, noted(each, found))
        elif found is not None:
            tx.conn.execute(update(messages).where(messages.c.seq == found.seq).values(undone))


def _in_order(order: Strategy, rows: list[Row[Any]]) -> list[Row[Any]]:
    """Return `rows` as the strategy has them: what an UPDATE returns has no order."""
    rows.sort(key=lambda row: (row.place, row.seq), reverse=order is Strategy.LIFO)
    rows.sort(key=lambda row: row.turn)
    if order is Strategy.PRIORITY:
        rows.sort(key=lambda row: row.priority)
    return rows


def _claim_slowly(tx: Tx, order: Strategy, limit: int, params: dict[str, Any]) -> list[Row[Any]]:
    """Promote what is to be promoted, then claim."""
    tx.begin()
    for _ in range(BATCHES):
        if _promote(tx, params) < BATCH:
            break
    rows: list[Row[Any]] = []
    for change in _slow(tx.tables, tx.dialect, order):
        if len(rows) < limit:
            rows += tx.dialect.claim(tx, change, {**params, "n": limit - len(rows)})
    return rows


def _promote(tx: Tx, params: dict[str, Any]) -> int:
    """Let what fell due wait, in its place; return how many rows were looked at."""
    messages = tx.tables.messages
    over = messages.c.due <= tx.now()
    query = (
        select(messages.c.seq)
        .where(messages.c.broker == params["in_broker"], over)
        .order_by(messages.c.due)
        .limit(BATCH)
    )
    seqs = tx.conn.scalars(tx.dialect.lock_rows(query)).all()
    if seqs:
        # The condition again, where no row could be locked; hidden from the planner, see `held`.
        still = case((over, literal_column("1")), else_=0) == 1
        waiting = {"state": MESSAGE_STATES[MessageState.WAITING], "due": null()}
        tx.conn.execute(update(messages).where(messages.c.seq.in_(seqs), still).values(waiting))
    return len(seqs)


def _is_pending(tx: Tx, order: Strategy, params: dict[str, Any]) -> bool:
    """Whether a claim found nothing because something has to be done first."""
    return bool(tx.conn.scalar(_pending(tx.tables, tx.dialect, order), params))


@functools.lru_cache(maxsize=64)
def _pending(tables: Tables, dialect: Dialect, order: Strategy) -> Select[Any]:
    return select(_hindrance(tables, dialect, order))


@functools.lru_cache(maxsize=64)
def _looking(tables: Tables, dialect: Dialect) -> Select[Any]:
    return select(
        exists().where(_of_broker(tables.stopped)),
        _first_turn(tables.messages).is_not(None),
        _first_due(tables.messages),
        _now(dialect),
    )


@functools.lru_cache(maxsize=64)
def _quick(tables: Tables, dialect: Dialect, order: Strategy) -> Change:
    """Return the claim that finds nothing if something has to be done first."""
    hindered = _hindrance(tables, dialect, order)
    turn = IN_TURN if order is Strategy.LIFO else None
    return _claiming(tables, dialect, order, ~hindered, turn)


@functools.lru_cache(maxsize=64)
def _slow(tables: Tables, dialect: Dialect, order: Strategy) -> Sequence[Change]:
    """Return the claims to be made one after the other."""
    turns = (HANDED_BACK, IN_TURN) if order is Strategy.LIFO else (None,)
    return [_claiming(tables, dialect, order, None, turn) for turn in turns]


def _hindrance(tables: Tables, dialect: Dialect, order: Strategy) -> ColumnElement[bool]:
    """Return the condition that something is due, or comes before the order of an index."""
    hindered = _first_due(tables.messages) <= _now(dialect)
    if order is Strategy.LIFO:
        hindered |= _first_turn(tables.messages) == HANDED_BACK
    return case((hindered, literal_column("1")), else_=0) == 1  # it is not, if there is no first


# Of both, the first along an index. To learn whether there are any of what it takes for many, a
# planner reads the table as it lies.


def _first_due(messages: Table) -> ColumnElement[Any]:
    query = select(messages.c.due).where(_of_broker(messages), messages.c.due.is_not(None))
    return query.order_by(messages.c.due).limit(1).scalar_subquery()


def _first_turn(messages: Table) -> ColumnElement[Any]:
    query = select(messages.c.turn).where(_of_broker(messages), _is_waiting(messages))
    return query.order_by(*_index_order(messages, Strategy.FIFO)).limit(1).scalar_subquery()


def _claiming(
    tables: Tables,
    dialect: Dialect,
    order: Strategy,
    condition: ColumnElement[bool] | None,
    turn: int | None,
) -> Change:
    messages, stopped = tables.messages, tables.stopped
    free = ~exists().where(_of_broker(stopped))
    if condition is not None:
        free &= condition
    broker = bindparam("in_broker", type_=messages.c.broker.type)
    # Of a broker that hands nothing out not even the index is read: no name is equal to NULL.
    query = select(messages.c.seq).where(
        messages.c.broker == case((free, broker)), _is_waiting(messages)
    )
    if turn is not None:
        query = query.where(messages.c.turn == turn)
    candidates = query.order_by(*_index_order(messages, order)).limit(bindparam("n", type_=Integer))
    return Change(
        messages,
        candidates,
        {
            "state": MESSAGE_STATES[MessageState.CLAIMED],
            "consumer": bindparam("for_consumer", type_=messages.c.consumer.type),
            "token": bindparam("by_token", type_=messages.c.token.type),
            "due": type_coerce(dialect.later(dialect.span("ttl")), INSTANT),
            "again_delay": null(),
        },
        bump=messages.c.deliveries,
        returning=[messages.c[name] for name in _RETURNED],
    )


def _index_order(messages: Table, order: Strategy) -> Sequence[ColumnElement[Any]]:
    """Return the order, as an index has it; of the newest, those of one turn."""
    if order is Strategy.LIFO:
        return messages.c.place.desc(), messages.c.seq.desc()
    fifo = (messages.c.turn, messages.c.place, messages.c.seq)
    return (messages.c.priority, *fifo) if order is Strategy.PRIORITY else fifo


def _of_broker(table: Table) -> ColumnElement[bool]:
    return table.c.broker == bindparam("in_broker", type_=table.c.broker.type)


def _is_waiting(messages: Table) -> ColumnElement[bool]:
    return messages.c.state == MESSAGE_STATES[MessageState.WAITING]


def _now(dialect: Dialect) -> ColumnElement[Any]:
    return type_coerce(dialect.later(dialect.span("now")), INSTANT)
