"""Series of jobs: a row for each, read under a lock and written under its version.

What becomes of a series is computed from its row and the database's clock, by functions that every
store shares. Two who fire at once hold each other off by the row's lock or, where there are none,
by its version: one of them finds it changed. The id of a slot's job is the last guard.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, select, update

from oqron_sql.contract import codec
from oqron_sql.contract import schedules as series
from oqron_sql.contract.checks import check_count, check_name, check_names, check_own_queue
from oqron_sql.contract.model import Job
from oqron_sql.contract.schedules import Fired, Schedule
from oqron_sql.errors import InvalidInput
from oqron_sql.queries.rows import row_of
from oqron_sql.queries.saving import RIVALS, save_rows
from oqron_sql.queries.schedule_rows import (
    row_of_schedule,
    schedule_columns,
    schedule_from_row,
)
from oqron_sql.queries.tx import Contended, Tx
from oqron_sql.queries.waking import rouse

logger = logging.getLogger("oqron_sql")
_MOVING = ("fired", "last_slot", "next_slot", "version")


def put_schedule(tx: Tx, queue: str, schedule: Schedule) -> Schedule:
    """Begin a series, or let the one with this key go on as told."""
    check_own_queue(queue, schedule.queue_name)
    data = codec.dumps(schedule.data, tx.settings.max_payload)
    schedule = dataclasses.replace(schedule, data=codec.loads(data))
    tx.begin()
    for _ in range(RIVALS):
        known, now = _find(tx, queue, schedule.key), tx.read_clock()
        if known is None:
            made = series.begun(schedule, now)
            row = {**row_of_schedule(made), "data": data}
            done = tx.dialect.insert_ignore(tx, tx.tables.schedules, row)
        else:
            made = series.renewed(known, schedule, now)
            done = _write(tx, known, {**row_of_schedule(made), "data": data})
        if done:
            _rouse_for(tx, made, known)
            return made
    raise Contended


def get_schedule(tx: Tx, queue: str, key: str) -> Schedule | None:
    """Return the schedule, or None."""
    check_names(queue=queue, key=key)
    row = tx.conn.execute(_all(tx).where(_is(tx, queue, key))).first()
    return None if row is None else schedule_from_row(row)


def list_schedules(
    tx: Tx, queue: str | None = None, start: int = 0, end: int = 100
) -> list[Schedule]:
    """Return a slice of the schedules, by queue and key."""
    check_count("start", start)
    table = tx.tables.schedules
    rows = _all(tx).order_by(table.c.queue_name, table.c.schedule_key)
    if queue is not None:
        rows = rows.where(table.c.queue_name == check_name("queue", queue))
    rows = rows.offset(start).limit(max(end - start, 0))
    return [schedule_from_row(row) for row in tx.conn.execute(rows)]


def pause_schedule(tx: Tx, queue: str, key: str) -> bool:
    """Fire no more slots of the series."""
    return _change(tx, queue, key, lambda known: known if known.paused else series.held(known))


def resume_schedule(tx: Tx, queue: str, key: str) -> bool:
    """Go on with the first slot from now on."""

    def change(known: Schedule) -> Schedule:
        return series.resumed(known, tx.read_clock()) if known.paused else known

    return _change(tx, queue, key, change)


def remove_schedule(tx: Tx, queue: str, key: str) -> bool:
    """End the series."""
    check_names(queue=queue, key=key)
    return tx.conn.execute(delete(tx.tables.schedules).where(_is(tx, queue, key))).rowcount == 1


def fire_schedules(tx: Tx, queue: str, *, limit: int = 100) -> list[Fired]:
    """Save the jobs of slots that are due, and move their series on."""
    check_name("queue", queue)
    check_count("limit", limit, least=1)
    tx.begin()
    fired: list[tuple[str, datetime, Job]] = []
    stuck = 0
    while room := limit - len(fired):
        wanted = due(tx, queue).offset(stuck).limit(room)
        rows = tx.conn.execute(tx.dialect.lock_rows(wanted)).all()
        for row in rows:
            turned = _turn(tx, row, limit - len(fired)) if len(fired) < limit else []
            if turned is None:
                stuck += 1
            else:
                fired += turned
        if len(rows) < room:
            break
    # What a schedule carries was measured when it was put, perhaps by a store with another limit.
    saved = [(row_of(queue, job, codec.UNLIMITED), job) for _, _, job in fired]
    ids = save_rows(tx, saved)
    return [Fired(key, slot, id_) for (key, slot, _), id_ in zip(fired, ids, strict=True)]


def due(tx: Tx, queue: str) -> Select[Any]:
    """Select the schedules of a queue with a slot that is due, and the database's clock."""
    table, now = tx.tables.schedules, tx.now()
    return (
        upcoming(tx, queue)
        .with_only_columns(*schedule_columns(tx), now.label("now"))
        .where(table.c.next_slot <= now)
    )


def upcoming(tx: Tx, queue: str) -> Select[Any]:
    """Select the next slots of a queue, those first that are due first."""
    table = tx.tables.schedules
    known = table.c.next_slot.is_not(None)  # the words of a partial index
    mine = and_(table.c.queue_name == queue, known)
    return select(table.c.next_slot).where(mine).order_by(table.c.next_slot)


def count_upcoming(tx: Tx, queues: Collection[str]) -> dict[str, int]:
    """Count the schedules of queues that have a next slot."""
    table = tx.tables.schedules
    query = select(table.c.queue_name, func.count().label("n")).group_by(table.c.queue_name)
    rows = tx.conn.execute(
        query.where(table.c.queue_name.in_(queues), table.c.next_slot.is_not(None))
    )
    return {row.queue_name: row.n for row in rows}


def _turn(tx: Tx, row: Row[Any], room: int) -> list[tuple[str, datetime, Job]] | None:
    """Move a series on; return the jobs to save, None if it stays where it is."""
    known = schedule_from_row(row)
    try:
        if known.error is not None:
            raise InvalidInput("schedule", known.key, known.error)
        slots, done = series.turned(known, row.now, room)
        jobs = [(known.key, slot, series.job_at(known, slot)) for slot in slots]
    except InvalidInput as error:  # whatever it is, the others are fired
        _complain(known.queue_name, known.key, error.problem)
        return None
    return jobs if _write(tx, known, _part(done, _MOVING)) else None  # somebody else was faster


@functools.lru_cache(maxsize=1024)
def _complain(queue: str, key: str, error: str) -> None:
    """Log, once in this process, what keeps a schedule from being fired by it."""
    where = (key, queue)
    logger.error("schedule %r of %r cannot be read here, nor fired: %s", *where, error)


def _change(tx: Tx, queue: str, key: str, change: Callable[[Schedule], Schedule]) -> bool:
    check_names(queue=queue, key=key)
    tx.begin()
    for _ in range(RIVALS):
        known = _find(tx, queue, key)
        if known is None:
            return False
        made = change(known)
        if made is known:
            return True
        if _write(tx, known, _part(made, ("paused", *_MOVING))):
            _rouse_for(tx, made, known)
            return True
    raise Contended


def _rouse_for(tx: Tx, made: Schedule, known: Schedule | None) -> None:
    """Wake those who fire, if a slot is due that they cannot know of."""
    if made.next_slot is not None and (known is None or made.next_slot != known.next_slot):
        rouse(tx, made.queue_name)


def _find(tx: Tx, queue: str, key: str) -> Schedule | None:
    rows = _all(tx).where(_is(tx, queue, key))
    row = tx.conn.execute(tx.dialect.lock_rows(rows, skip_locked=False)).first()
    return None if row is None else schedule_from_row(row)


def _write(tx: Tx, known: Schedule, values: dict[str, Any]) -> bool:
    """Write `values` if the series is still as it was known."""
    table = tx.tables.schedules
    same = and_(_is(tx, known.queue_name, known.key), table.c.version == known.version)
    return tx.conn.execute(update(table).where(same).values(values)).rowcount == 1


def _part(made: Schedule, columns: Sequence[str]) -> dict[str, Any]:
    """Return what to write where the rest, which may not be readable here, is to stay."""
    row = row_of_schedule(made)
    return {name: row[name] for name in columns}


def _is(tx: Tx, queue: str, key: str) -> ColumnElement[bool]:
    table = tx.tables.schedules
    return and_(table.c.queue_name == queue, table.c.schedule_key == key)


def _all(tx: Tx) -> Select[Any]:
    return select(*schedule_columns(tx))
