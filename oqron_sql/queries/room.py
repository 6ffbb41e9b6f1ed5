"""Groups in which only so many jobs may wait: counted after the group's row was written.

Written rather than locked, so that PostgreSQL tells a host's transaction that saw an older state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update

from oqron_sql.contract.model import Job, JobState
from oqron_sql.errors import GroupFull
from oqron_sql.queries.groups import get_waiting_group_count, know_groups
from oqron_sql.queries.tx import Tx

Row = tuple[dict[str, Any], Job]


def demand_room(tx: Tx, rows: Sequence[Row]) -> None:
    """Refuse jobs that would be too many to wait in their group.

    Raises:
        GroupFull: they would be.
    """
    coming: dict[tuple[str, str], list[Row]] = {}
    for row, job in rows:
        if _is_bounded(job):
            coming.setdefault((job.queue_name, row["group_id"]), []).append((row, job))
    for (queue, group), new in sorted(coming.items(), key=lambda each: each[0]):
        _enter(tx, queue, group)
        waiting = get_waiting_group_count(tx, queue, group)
        most = min(job.opts.group.max_size or 0 for _, job in new if job.opts.group)
        if waiting + len(new) > most:  # else it does not matter which of them will be saved
            unsaved = _unsaved(tx, queue, new)
            if unsaved and waiting + unsaved > most:
                raise GroupFull(queue, group, most)


def _is_bounded(job: Job) -> bool:
    group = job.opts.group
    return (
        group is not None
        and group.max_size is not None
        and job.group_id is not None
        and job.state is JobState.WAITING
    )


def _enter(tx: Tx, queue: str, group: str) -> None:
    """Keep everybody else out of the group until the end of the transaction."""
    groups = tx.tables.groups
    tx.begin()
    know_groups(tx, queue, [group])
    mine = (groups.c.queue_name == queue, groups.c.group_id == group)
    tx.conn.execute(update(groups).where(*mine).values(served=groups.c.served))


def _unsaved(tx: Tx, queue: str, rows: Sequence[Row]) -> int:
    """Return how many of the jobs neither exist nor have another that stands for them."""
    jobs = tx.tables.jobs
    here = jobs.c.queue_name == queue
    saved = select(jobs.c.id).where(here, jobs.c.id.in_([row["id"] for row, _ in rows]))
    ids = set(tx.conn.scalars(tx.current(saved)))
    keys = [row["deduplication_key"] for row, _ in rows if "deduplication_key" in row]
    live = select(jobs.c.dedup_slot).where(here, jobs.c.dedup_slot.in_(keys))
    live = live.where(jobs.c.dedup_until.is_(None) | (jobs.c.dedup_until >= tx.now()))
    held = set(tx.conn.scalars(tx.current(live))) if keys else set()
    return sum(row["id"] not in ids and row.get("deduplication_key") not in held for row, _ in rows)
