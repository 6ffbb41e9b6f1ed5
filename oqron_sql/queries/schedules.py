"""Series of jobs: a row for each, read under a lock and written under its version.

What becomes of a series is computed from its row and the database's clock, by functions that every
store shares. Two who fire at once hold each other off by the row's lock or, where there are none,
by its version: one of them finds it changed. The id of a slot's job is the last guard.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, select, update

from oqron_sql.contract import codec
from oqron_sql.contract import schedules as series
from oqron_sql.contract.checks import check_count, check_name, check_names, check_own_queue
from oqron_sql.contract.model import Job
from oqron_sql.contract.options import Repeat
from oqron_sql.contract.schedules import Fired, Schedule
from oqron_sql.errors import InvalidInput
from oqron_sql.queries.options import dump_options, load_options
from oqron_sql.queries.rows import row_of
from oqron_sql.queries.saving import RIVALS, save_rows
from oqron_sql.queries.tx import Contended, Tx
from oqron_sql.queries.waking import rouse

logger = logging.getLogger("oqron_sql")
_MICROSECOND = timedelta(microseconds=1)


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
            if tx.dialect.insert_ignore(tx, tx.tables.schedules, {**_row(made), "data": data}):
                _rouse_for(tx, made)
                return made
        else:
            made = series.renewed(known, schedule, now)
            if _write(tx, known, {**_row(made), "data": data}):
                _rouse_for(tx, made, known)
                return made
    raise Contended


def get_schedule(tx: Tx, queue: str, key: str) -> Schedule | None:
    """Return the schedule, or None."""
    check_names(queue=queue, key=key)
    row = tx.conn.execute(_all(tx).where(_is(tx, queue, key))).first()
    return None if row is None else _read(row)


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
    return [_read(row) for row in tx.conn.execute(rows)]


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
        .with_only_columns(*_columns(tx), now.label("now"))
        .where(table.c.next_slot <= now)
    )


def upcoming(tx: Tx, queue: str) -> Select[Any]:
    """Select the next slots of a queue, those first that are due first."""
    table = tx.tables.schedules
    known = table.c.next_slot.is_not(None)  # the words of a partial index
    mine = and_(table.c.queue_name == queue, known)
    return select(table.c.next_slot).where(mine).order_by(table.c.next_slot)


def _turn(tx: Tx, row: Row[Any], room: int) -> list[tuple[str, datetime, Job]] | None:
    """Move a series on; return the jobs to save, None if it stays where it is."""
    try:
        known = _read(row)
        slots, done = series.turned(known, row.now, room)
        jobs = [(known.key, slot, series.job_at(known, slot)) for slot in slots]
    except InvalidInput as error:  # of a newer version, or a zone that is not known here
        where = (row.schedule_key, row.queue_name)
        logger.error("schedule %r of %r cannot be fired: %s", *where, error)
        return None
    moved = {name: value for name, value in _row(done).items() if name in _MOVING}
    return jobs if _write(tx, known, moved) else None  # somebody else was faster


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
        if _write(tx, known, _row(made)):
            _rouse_for(tx, made, known)
            return True
    raise Contended


def _rouse_for(tx: Tx, made: Schedule, known: Schedule | None = None) -> None:
    """Wake those who fire, if a slot is due that they cannot know of."""
    if made.next_slot is not None and (known is None or made.next_slot != known.next_slot):
        rouse(tx, made.queue_name)


def _find(tx: Tx, queue: str, key: str) -> Schedule | None:
    rows = _all(tx).where(_is(tx, queue, key))
    row = tx.conn.execute(tx.dialect.lock_rows(rows, skip_locked=False)).first()
    return None if row is None else _read(row)


def _write(tx: Tx, known: Schedule, values: dict[str, Any]) -> bool:
    """Write `values` if the series is still as it was known."""
    table = tx.tables.schedules
    same = and_(_is(tx, known.queue_name, known.key), table.c.version == known.version)
    return tx.conn.execute(update(table).where(same).values(values)).rowcount == 1


def _is(tx: Tx, queue: str, key: str) -> ColumnElement[bool]:
    table = tx.tables.schedules
    return and_(table.c.queue_name == queue, table.c.schedule_key == key)


def _all(tx: Tx) -> Select[Any]:
    return select(*_columns(tx))


def _columns(tx: Tx) -> Sequence[ColumnElement[Any]]:
    """Return the columns, by name: a later one does no harm."""
    return [tx.tables.schedules.c[name] for name in _COLUMNS]


_COLUMNS = (
    "queue_name", "schedule_key", "job_name", "cron", "every_us", "tz", "start_at", "end_at",
    "most", "catchup", "paused", "fired", "anchor", "last_slot", "next_slot", "version", "opts",
    "data",
)  # fmt: skip
_MOVING = ("fired", "last_slot", "next_slot", "version")


def _row(schedule: Schedule) -> dict[str, Any]:
    """Return the members of a schedule as columns, but for its data."""
    repeat = schedule.repeat
    return {
        "queue_name": schedule.queue_name,
        "schedule_key": schedule.key,
        "job_name": schedule.name,
        "cron": repeat.cron,
        "every_us": None if repeat.every is None else repeat.every // _MICROSECOND,
        "tz": repeat.tz,
        "start_at": repeat.start,
        "end_at": repeat.end,
        "most": repeat.limit,
        "catchup": schedule.catchup,
        "paused": schedule.paused,
        "fired": schedule.fired,
        "anchor": schedule.anchor,
        "last_slot": schedule.last_slot,
        "next_slot": schedule.next_slot,
        "version": schedule.version,
        "opts": dump_options(schedule.opts),
    }


def _read(row: Row[Any]) -> Schedule:
    return Schedule(
        queue_name=row.queue_name,
        key=row.schedule_key,
        name=row.job_name,
        repeat=Repeat(
            cron=row.cron,
            every=None if row.every_us is None else row.every_us * _MICROSECOND,
            limit=row.most,
            start=row.start_at,
            end=row.end_at,
            tz=row.tz,
        ),
        data=codec.loads(row.data),
        opts=load_options(row.opts),
        catchup=row.catchup,
        paused=bool(row.paused),
        fired=row.fired,
        anchor=row.anchor,
        last_slot=row.last_slot,
        next_slot=row.next_slot,
        version=row.version,
    )
