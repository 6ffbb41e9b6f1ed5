"""Trees of jobs: what ends or goes is told to its parent, all the way up, in one transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, case, literal_column, null, select, true, update

from oqron_sql.contract import codec
from oqron_sql.contract.checks import check_count, check_names
from oqron_sql.contract.model import Job, JobState, check_state
from oqron_sql.hiding import hiding
from oqron_sql.queries import metrics, tallies
from oqron_sql.queries.options import load_options
from oqron_sql.queries.removing import delete_rows, doomed
from oqron_sql.queries.rows import in_state, job_columns, jobs_from_rows
from oqron_sql.queries.tx import Tx
from oqron_sql.queries.waking import report_surely, rouse
from oqron_sql.schema.tables import STATES

_UNSTARTED = (JobState.WAITING_CHILDREN, JobState.WAITING)


@hiding("reason")
@dataclasses.dataclass(frozen=True, slots=True)
class Child:
    """A job that ended (with `reason` if it failed) or is `gone`, as its parent is told of it."""

    seq: int
    parent: tuple[str, str] | None
    reason: str | None = None
    gone: bool = False

    @classmethod
    def of(cls, job: Any, reason: str | None = None, *, gone: bool = False) -> Child:
        """Return the child that `job`, a Job or a row with its links, is."""
        linked = job.parent_id is not None and job.parent_queue_name is not None
        return cls(
            job.seq, (job.parent_queue_name, job.parent_id) if linked else None, reason, gone
        )


def tell(tx: Tx, children: Sequence[Child]) -> None:
    """Tell parents of children that ended or are gone; each child counts once."""
    while children:
        families: dict[tuple[str, str], list[Child]] = {}
        for child in children:
            if child.parent is not None:
                families.setdefault(child.parent, []).append(child)
        # In one order everywhere, so that two workers cannot deadlock.
        children = [up for key in sorted(families) for up in _tell_parent(tx, key, families[key])]


def _tell_parent(tx: Tx, key: tuple[str, str], children: list[Child]) -> list[Child]:
    """Tell one parent; return it as a child if that ended or removed it in turn."""
    fresh = [child for child in children if child.gone or _mark(tx, child.seq)]
    parent = _lock(tx, *key)
    if not fresh or parent is None:
        return []
    failures = [child.reason for child in fresh if child.reason is not None]
    policy = load_options(parent.opts).fail_parent_on_child_failure
    if failures and policy == "fail":
        reason = failed_by(failures[0])
        return [Child.of(parent, reason)] if _fail(tx, parent, reason) else []
    if failures and policy == "remove" and parent.state in _UNSTARTED:
        delete_rows(tx, [parent])
        return [] if parent.parent_notified else [Child.of(parent, gone=True)]
    _count_down(tx, parent, len(fresh))
    return []


def excuse(tx: Tx, children: Sequence[Job]) -> None:
    """Let parents not wait for children that were not saved."""
    for child in children:
        if child.parent_queue_name is not None and child.parent_id is not None:
            parent = _lock(tx, child.parent_queue_name, child.parent_id)
            if parent is not None:
                _count_down(tx, parent, 1)


def failed_by(reason: str) -> str:
    """Return the reason of a parent whose child failed for `reason`."""
    return codec.clean_text(f"Child failed: {reason}")


def _mark(tx: Tx, seq: int) -> bool:
    """Note that the child's parent was told; False if it was before."""
    jobs = tx.tables.jobs
    untold = update(jobs).where(jobs.c.seq == seq, ~jobs.c.parent_notified)
    return tx.conn.execute(untold.values(parent_notified=true())).rowcount == 1


def _lock(tx: Tx, queue: str, job_id: str) -> Row[Any] | None:
    jobs = tx.tables.jobs
    query: Select[Any] = doomed(jobs).add_columns(jobs.c.opts, jobs.c.pending_children_count)
    query = query.where(jobs.c.id == job_id, jobs.c.queue_name == queue)
    return tx.conn.execute(tx.dialect.lock_rows(query, skip_locked=False)).first()


def _fail(tx: Tx, parent: Row[Any], reason: str) -> bool:
    jobs = tx.tables.jobs
    values = {
        "state": STATES[JobState.FAILED],
        "failed_reason": reason,
        "failed_at": tx.now(),
        "lock_until": null(),
        "locked_by": null(),
        "dedup_slot": null(),
    }
    guard = (jobs.c.seq == parent.seq, in_state(jobs, *_UNSTARTED))
    if tx.conn.execute(update(jobs).where(*guard).values(values)).rowcount == 0:
        return False
    report_surely(tx, parent.queue_name, parent.id)
    tallies.add(tx, parent.queue_name, JobState.FAILED, 1)
    metrics.record(tx, parent.queue_name, [parent.seq])
    return True


def _count_down(tx: Tx, parent: Row[Any], n: int) -> bool:
    """Let a waiting parent wait for `n` children less; at none left it may run."""
    jobs = tx.tables.jobs
    left = jobs.c.pending_children_count
    more = left > n
    counted = (
        update(jobs)
        .where(jobs.c.seq == parent.seq, in_state(jobs, JobState.WAITING_CHILDREN))
        # The state first: MySQL computes from left to right with what it has just assigned.
        .ordered_values(
            (jobs.c.state, case((more, jobs.c.state), else_=STATES[JobState.WAITING])),
            (left, case((more, left - n), else_=literal_column("0"))),
        )
    )
    if parent.pending_children_count <= n:
        rouse(tx, parent.queue_name)
    return tx.conn.execute(counted).rowcount == 1


def notify_child_completed(
    tx: Tx, parent_queue: str, parent_id: str, *, child_id: str | None = None
) -> JobState:
    """Count one child of a parent as done; returns the parent's state."""
    check_names(parent_queue=parent_queue, parent_id=parent_id)
    jobs = tx.tables.jobs
    tx.begin()
    parent = _lock(tx, parent_queue, parent_id)
    if parent is None or parent.state != JobState.WAITING_CHILDREN:
        return JobState.COMPLETED
    n = 1
    if child_id is not None:
        check_names(child_id=child_id)
        untold = update(jobs).where(
            jobs.c.parent_queue_name == parent_queue,
            jobs.c.parent_id == parent_id,
            jobs.c.id == child_id,
            ~jobs.c.parent_notified,
        )
        n = tx.conn.execute(untold.values(parent_notified=true())).rowcount
        if not n:
            return JobState.WAITING_CHILDREN
    _count_down(tx, parent, n)
    return JobState(
        tx.conn.execute(select(jobs.c.state).where(jobs.c.seq == parent.seq)).scalar_one()
    )


def fail_parent_on_child_failure(tx: Tx, parent_queue: str, parent_id: str, reason: str) -> bool:
    """Fail a parent that has not started, and tell its own parent."""
    check_names(parent_queue=parent_queue, parent_id=parent_id)
    tx.begin()
    parent = _lock(tx, parent_queue, parent_id)
    if parent is None or not _fail(tx, parent, failed_by(reason)):
        return False
    tell(tx, [Child.of(parent, failed_by(reason))])
    return True


def get_children_jobs(tx: Tx, parent_queue: str, parent_id: str) -> list[Job]:
    """Return the children, in any queue and state, oldest first."""
    check_names(parent_queue=parent_queue, parent_id=parent_id)
    jobs = tx.tables.jobs
    query = select(*job_columns(jobs)).where(
        jobs.c.parent_queue_name == parent_queue,
        jobs.c.parent_id == parent_id,
    )
    return jobs_from_rows(tx, tx.conn.execute(query.order_by(jobs.c.created_at, jobs.c.seq)).all())


def list_flow_parents(tx: Tx, state: JobState | None = None, limit: int = 100) -> list[Job]:
    """Return jobs that have children, newest first."""
    jobs = tx.tables.jobs
    query = select(*job_columns(jobs)).where(jobs.c.children_ids.is_not(None))
    if state is not None:
        query = query.where(jobs.c.state == STATES[check_state("state", state)])
    query = query.order_by(jobs.c.created_at.desc(), jobs.c.seq.desc())
    return jobs_from_rows(tx, tx.conn.execute(query.limit(check_count("limit", limit))).all())
