"""Deleting jobs together with what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, Table, delete, select

from oqron_sql.contract.model import JobState
from oqron_sql.queries import history, tallies
from oqron_sql.queries.rows import in_state
from oqron_sql.queries.tx import Tx


def doomed(jobs: Table) -> Select[Any]:
    """Select what has to be known of a job to delete it and to tell its parent."""
    return select(
        jobs.c.seq,
        jobs.c.queue_name,
        jobs.c.id,
        jobs.c.state,
        jobs.c.entries,
        jobs.c.parent_queue_name,
        jobs.c.parent_id,
        jobs.c.parent_notified,
    )


def delete_rows(tx: Tx, rows: Sequence[Row[Any]]) -> int:
    """Delete jobs that were selected by `doomed` and locked; return how many. Tells no parent."""
    jobs = tx.tables.jobs
    deleted = 0
    for queue, state in sorted({(row.queue_name, row.state) for row in rows}):
        seqs = [row.seq for row in rows if (row.queue_name, row.state) == (queue, state)]
        # The state again: where rows cannot be locked, one may have moved on.
        n = tx.conn.execute(
            delete(jobs).where(jobs.c.seq.in_(seqs), in_state(jobs, JobState(state)))
        ).rowcount
        tallies.add(tx, queue, state, -n)
        deleted += n
    told = [row.seq for row in rows if row.entries]
    if told:
        history.forget(tx, told)
    return deleted
