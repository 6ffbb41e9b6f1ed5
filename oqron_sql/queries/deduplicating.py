"""One live job per key: the key sits in a unique column while a job holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, null, or_, select, update
from sqlalchemy.exc import IntegrityError

from oqron_sql.contract.checks import check_names
from oqron_sql.contract.model import Job
from oqron_sql.queries.rows import job_columns, jobs_from_rows
from oqron_sql.queries.tx import Tx


def find_by_deduplication_key(tx: Tx, queue: str, key: str) -> Job | None:
    """Return the live job that holds the key, unless its time is over."""
    check_names(queue=queue, key=key)
    jobs = tx.tables.jobs
    query = select(*job_columns(jobs)).where(
        jobs.c.queue_name == queue,
        jobs.c.dedup_slot == key,
        or_(jobs.c.dedup_until.is_(None), jobs.c.dedup_until >= tx.now()),
    )
    found = jobs_from_rows(tx, tx.conn.execute(query).all())
    return found[0] if found else None


def take_back(tx: Tx, rows: Sequence[Row[Any, *tuple[Any, ...]]]) -> None:
    """Give each job that lives again its key back if nobody holds it; the oldest first."""
    jobs = tx.tables.jobs
    for row in sorted(rows, key=lambda row: row.seq):
        slot = (jobs.c.queue_name == row.queue_name, jobs.c.dedup_slot == row.deduplication_key)
        holder = select((jobs.c.dedup_until < tx.now()).label("over")).where(*slot)
        found = tx.conn.execute(holder).first()
        if found is not None:
            if not found.over:
                continue
            # Asked again: since it was read, somebody else may hold the key.
            over = update(jobs).where(*slot, jobs.c.dedup_until < tx.now())
            tx.conn.execute(over.values(dedup_slot=null()))
        try:
            with tx.conn.begin_nested():
                tx.conn.execute(
                    update(jobs)
                    .where(jobs.c.seq == row.seq)
                    .values(dedup_slot=row.deduplication_key)
                )
        except IntegrityError:  # somebody took it in between: then it is theirs
            continue
