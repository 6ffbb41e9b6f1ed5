"""Locks: who has which, until when, and the number that fences off whoever had it before.

The row of a lock that is over stays for a while, for its number is what the next one is counted
from. When it is swept, the row without a name takes the number over, and a name that is new to the
table counts from there.
"""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Row,
    Table,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    update,
)

from oqron_sql.contract.asking import check_ttl
from oqron_sql.contract.checks import check_names
from oqron_sql.queries.tx import Contended, Tx
from oqron_sql.schema.tables import Tables

RIVALS = 20
BATCH = 500
# A statement that gives a new row its number would have to take so long to miss what was swept.
KEPT = timedelta(minutes=10)
FLOOR = ""  # no key is empty


class Taken(NamedTuple):
    """How an attempt to take a lock ended."""

    fence: int | None
    new: bool = False  # whether a row was added


def acquire(tx: Tx, key: str, owner: str, ttl: timedelta) -> Taken:
    """Take the lock, or let it last longer if `owner` has it; only read if somebody else does."""
    check_names(key=key, owner=owner)
    tx.check_end("ttl", check_ttl(ttl))
    for _ in range(RIVALS):
        found = _read(tx, key)
        if found is None:
            if _insert(tx, key, owner, ttl) and (fence := _fence(tx, key, owner)) is not None:
                return Taken(fence, new=True)
        elif found.held and found.owner != owner:
            return Taken(None)
        elif _take(tx, found, owner, ttl):
            return Taken(found.fence if found.held else found.fence + 1)
    raise Contended


def renew(tx: Tx, key: str, owner: str, ttl: timedelta) -> bool:
    """Let the lock of `owner` last longer."""
    check_names(key=key, owner=owner)
    tx.check_end("ttl", check_ttl(ttl))
    locks = tx.tables.locks
    longer = update(locks).where(*_owned(tx, key, owner)).values(expires_at=tx.written(ttl))
    return tx.conn.execute(longer).rowcount == 1


def release(tx: Tx, key: str, owner: str) -> bool:
    """Let the lock of `owner` be over."""
    check_names(key=key, owner=owner)
    locks = tx.tables.locks
    over = update(locks).where(*_owned(tx, key, owner)).values(expires_at=tx.now())
    return tx.conn.execute(over).rowcount == 1


def is_owner(tx: Tx, key: str, owner: str) -> bool:
    """Whether `owner` has the lock."""
    check_names(key=key, owner=owner)
    query = select(tx.tables.locks.c.name).where(*_owned(tx, key, owner))
    return tx.conn.execute(query).first() is not None


def sweep_step(tx: Tx, *, limit: int = BATCH) -> int:
    """Delete up to `limit` rows that have been over for long."""
    locks = tx.tables.locks
    tx.begin()
    over = locks.c.expires_at < tx.now(-KEPT)
    old = select(locks.c.name, locks.c.fence).where(over, locks.c.name != FLOOR)
    rows = tx.conn.execute(
        tx.dialect.lock_rows(old.order_by(locks.c.expires_at).limit(limit))
    ).all()
    if not rows:
        return 0
    _raise_floor(tx, max(row.fence for row in rows))
    gone = delete(locks).where(locks.c.name.in_([row.name for row in rows]), over)
    return tx.conn.execute(gone).rowcount


def _read(tx: Tx, key: str) -> Any:
    locks = tx.tables.locks
    held = case((locks.c.expires_at > tx.now(), literal_column("1")), else_=0)
    query = select(locks.c.name, locks.c.owner, locks.c.fence, held.label("held"))
    return tx.conn.execute(query.where(locks.c.name == key)).first()


def _take(tx: Tx, found: Row[Any], owner: str, ttl: timedelta) -> bool:
    """Change the row, if it still is as it was found."""
    locks = tx.tables.locks
    same = [locks.c.name == found.name, locks.c.fence == found.fence, locks.c.owner == found.owner]
    if found.held:
        same.append(locks.c.expires_at > tx.now())
        values: dict[str, Any] = {"expires_at": tx.written(ttl)}
    else:
        same.append(locks.c.expires_at <= tx.now())
        values = {"expires_at": tx.written(ttl), "owner": owner, "fence": locks.c.fence + 1}
    return tx.conn.execute(update(locks).where(*same).values(values)).rowcount == 1


def _insert(tx: Tx, key: str, owner: str, ttl: timedelta) -> bool:
    row = {"name": key, "owner": owner, "expires_at": ttl}
    return tx.dialect.insert_ignore(tx, tx.tables.locks, row, computed=_next_fence(tx.tables))


@functools.cache
def _next_fence(tables: Tables) -> dict[str, ColumnElement[Any]]:
    """Return the number of a row that is inserted; as of that very statement."""
    floor = tables.locks.alias("floor")
    highest = select(func.max(floor.c.fence).label("fence")).where(floor.c.name == FLOOR)
    # A table of its own: some databases read no table that they insert into.
    found = highest.subquery("highest")
    return {"fence": func.coalesce(select(found.c.fence).scalar_subquery(), 0) + 1}


def _fence(tx: Tx, key: str, owner: str) -> int | None:
    """Return the number that was given; None if somebody else has the lock by now."""
    locks = tx.tables.locks
    mine = (locks.c.name == key, locks.c.owner == owner)
    return tx.conn.scalar(select(locks.c.fence).where(*mine))


def _raise_floor(tx: Tx, fence: int) -> None:
    """Let the floor be no lower than `fence`; in one statement, for others may make it, too."""
    locks = tx.tables.locks
    row = {"name": FLOOR, "owner": FLOOR, "expires_at": timedelta(0), "fence": fence}
    tx.dialect.upsert(tx, locks, row, _no_lower(locks), {"least": fence})


@functools.cache
def _no_lower(locks: Table) -> dict[str, ColumnElement[Any]]:
    least = bindparam("least", type_=locks.c.fence.type)
    return {"fence": case((locks.c.fence < least, least), else_=locks.c.fence)}


def _owned(tx: Tx, key: str, owner: str) -> tuple[ColumnElement[bool], ...]:
    locks = tx.tables.locks
    held = case((locks.c.expires_at > tx.now(), literal_column("1")), else_=0) == 1
    return locks.c.name == key, locks.c.owner == owner, held
