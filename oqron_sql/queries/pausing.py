"""Job names, or whole queues, that are not handed out."""

from __future__ import annotations

from sqlalchemy import delete, false, select, true, update

from oqron_sql.contract.checks import check_names
from oqron_sql.queries.tx import Tx
from oqron_sql.queries.waking import rouse

WHOLE_QUEUE = "__all__"  # the contract's spelling; stored as a column of the queue


def pause_job_name(tx: Tx, queue: str, job_name: str) -> None:
    """Stop handing out jobs of that name."""
    check_names(queue=queue, job_name=job_name)
    if job_name == WHOLE_QUEUE:
        row = {"name": queue, "paused": True}
        tx.dialect.upsert(tx, tx.tables.queues, row, {"paused": true()})
    else:
        row = {"queue_name": queue, "job_name": job_name}
        tx.dialect.insert_ignore(tx, tx.tables.pauses, row)


def resume_job_name(tx: Tx, queue: str, job_name: str) -> None:
    """Hand out jobs of that name again."""
    check_names(queue=queue, job_name=job_name)
    queues, pauses = tx.tables.queues, tx.tables.pauses
    rouse(tx, queue)
    if job_name == WHOLE_QUEUE:
        tx.change(update(queues).where(queues.c.name == queue).values(paused=false()))
    else:
        tx.change(delete(pauses).where(pauses.c.queue_name == queue, pauses.c.job_name == job_name))


def get_paused_job_names(tx: Tx, queue: str) -> list[str]:
    """Return the paused names, sorted; `__all__` among them if the queue is paused."""
    check_names(queue=queue)
    queues, pauses = tx.tables.queues, tx.tables.pauses
    names = list(tx.conn.scalars(select(pauses.c.job_name).where(pauses.c.queue_name == queue)))
    if tx.conn.scalar(select(queues.c.paused).where(queues.c.name == queue)):
        names.append(WHOLE_QUEUE)
    return sorted(names)
