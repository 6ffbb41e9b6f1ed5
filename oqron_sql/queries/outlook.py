"""What there is to do in a queue, in one statement that reads a few index entries."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ScalarSelect, Select, false, select

from oqron_sql.contract.checks import check_name
from oqron_sql.contract.durations import time_until
from oqron_sql.contract.model import Outlook
from oqron_sql.dialects import proving
from oqron_sql.queries import fetch, retention
from oqron_sql.queries.delaying import delayed
from oqron_sql.queries.leases import expired
from oqron_sql.queries.schedules import upcoming
from oqron_sql.queries.tx import Tx


def get_outlook(tx: Tx, queue: str) -> Outlook:
    """Say what there is to do."""
    check_name("queue", queue)
    jobs, kept = tx.tables.jobs, tx.tables.retention
    waiting = fetch.runnable(tx.tables, named=False).order_by(*fetch.oldest(jobs))
    due = delayed(tx, queue).with_only_columns(jobs.c.delay_until)
    lost = expired(tx, queue, 1).with_only_columns(jobs.c.seq)
    over = select(kept.c.id).where(retention.is_over(tx, queue)).order_by(kept.c.expires_at)
    read_only = tx.dialect.read_only()
    query = select(
        tx.now().label("now"),
        (false() if read_only is None else read_only).label("read_only"),
        _first(due).label("due"),
        _first(waiting).label("waiting"),
        _first(lost).label("lost"),
        _first(over).label("over"),
        _first(upcoming(tx, queue)).label("fires"),
    )
    row = tx.conn.execute(query, {"queue": queue}).one()
    if read_only is not None and not tx.joined:
        # An idle worker asks for nothing else, and an old primary would answer it for ever.
        proving.saw(tx.conn, may_write=not row.read_only)
    return Outlook(
        waiting=row.waiting is not None,
        due_in=time_until(row.due, row.now),
        lost=row.lost is not None,
        expired=row.over is not None,
        fires_in=time_until(row.fires, row.now),
    )


def _first(rows: Select[Any]) -> ScalarSelect[Any]:
    # Not EXISTS, nor min(): told to find one, a planner may read the table as it lies.
    return rows.limit(1).scalar_subquery()
