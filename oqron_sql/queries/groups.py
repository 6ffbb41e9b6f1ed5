"""Groups take turns, and none has more active jobs than its cap.

A claim locks up to n group rows that have a waiting job, least recently served first, passing over
those that another claim holds. Only then, in a new statement, so that it sees what was committed
before the lock was had, does it count each group's active jobs and take each one's head. The cost
follows n; workers on different groups do not wait for each other.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    union_all,
    update,
)

from oqron_sql.contract.checks import check_names
from oqron_sql.contract.model import JobState
from oqron_sql.contract.options import FetchOptions
from oqron_sql.dialects import Claim, Dialect
from oqron_sql.queries import fetch
from oqron_sql.queries.rows import in_state
from oqron_sql.queries.tx import Tx
from oqron_sql.schema.tables import STATES, Tables
from oqron_sql.schema.types import Key

NO_GROUP = ""  # how "no group" is spelled in the table of groups; a group's id is never empty


def know_group(tx: Tx, queue: str, group_id: str) -> None:
    """Let a group that has a job take part in the turns."""
    groups = tx.tables.groups
    known = select(literal(1)).where(groups.c.queue_name == queue, groups.c.group_id == group_id)
    if tx.conn.execute(known).first() is None:
        tx.dialect.insert_ignore(tx, groups, {"queue_name": queue, "group_id": group_id})


def claim_by_turn(tx: Tx, n: int, opts: FetchOptions, params: dict[str, Any]) -> list[Row[Any]]:
    """Lease up to `n` jobs, at most one per group and round."""
    tx.begin()
    queue = params["queue"]
    know_group(tx, queue, NO_GROUP)
    taken: list[Row[Any]] = []
    full: set[str] = set()
    while len(taken) < n:
        turn = _lock_next(tx, n - len(taken), opts, full, params)
        if not turn:
            break
        full |= _full(tx, queue, turn, opts)
        heads = _heads(tx, [group for group in turn if group not in full], opts, params)
        chosen = _chosen(tx.tables, tx.dialect)
        rows = fetch.claim(tx, chosen, {**params, "seqs": heads}) if heads else []
        served = {row.group_id or NO_GROUP for row in rows}
        # A group whose head went to a fetch without groups gets no second look in this call.
        full |= set(turn) - served
        taken += sorted(rows, key=lambda row: turn.index(row.group_id or NO_GROUP))
        _note_turn(tx, queue, [group for group in turn if group in served])
    return taken


@functools.lru_cache(maxsize=64)
def _chosen(tables: Tables, dialect: Dialect) -> Claim:
    jobs, seqs = tables.jobs, bindparam("seqs", expanding=True, type_=BigInteger)
    rows = select(jobs.c.seq).where(jobs.c.seq.in_(seqs), in_state(jobs, JobState.WAITING))
    return fetch.leasing(tables, dialect, rows)


def _lock_next(
    tx: Tx, n: int, opts: FetchOptions, full: set[str], params: dict[str, Any]
) -> list[str]:
    """Lock and return up to `n` groups that have a waiting job, least recently served first."""
    groups = tx.tables.groups
    jobs = tx.tables.jobs
    waiting = fetch.runnable(tx.tables, opts.job_name is not None).correlate(groups)
    waiting = waiting.order_by(*fetch.oldest(jobs)).limit(1)

    def some(mine: ColumnElement[bool]) -> ColumnElement[bool]:
        # Not EXISTS: to find one of what it takes for many, a planner reads the table as it lies.
        return waiting.where(mine).scalar_subquery().is_not(None)

    # Two look-ups rather than one with an OR in it, so that each is answered by the index.
    grouped = and_(groups.c.group_id != NO_GROUP, some(jobs.c.group_id == groups.c.group_id))
    loose = and_(groups.c.group_id == NO_GROUP, some(jobs.c.group_id.is_(None)))
    query = select(groups.c.group_id).where(
        groups.c.queue_name == params["queue"], or_(grouped, loose)
    )
    passed = full | set(opts.exclude_groups)
    if passed:
        # An expression: for the ranges between names MariaDB goes by the names, and sorts the order
        # of service; a locking read that sorts locks every group.
        other = func.coalesce(groups.c.group_id, NO_GROUP).not_in(sorted(passed))
        query = query.where(other)
    query = query.order_by(groups.c.served, groups.c.group_id).limit(n)
    return list(tx.conn.scalars(tx.dialect.lock_rows(query), params))


def _full(tx: Tx, queue: str, turn: Sequence[str], opts: FetchOptions) -> set[str]:
    """Return those groups that have as many active jobs as they may."""
    if opts.group_concurrency is None:
        return set()
    jobs = tx.tables.jobs
    active = (
        select(jobs.c.group_id)
        .where(
            jobs.c.queue_name == queue,
            jobs.c.state == STATES[JobState.ACTIVE],
            jobs.c.group_id.in_(turn),
        )
        .group_by(jobs.c.group_id)
        .having(func.count() >= opts.group_concurrency)
    )
    return set(tx.conn.scalars(tx.current(active)))


def _heads(tx: Tx, turn: Sequence[str], opts: FetchOptions, params: dict[str, Any]) -> list[int]:
    """Return the first runnable job of each group."""
    if not turn:
        return []
    waiting = fetch.runnable(tx.tables, opts.job_name is not None)
    firsts = [_head(tx, waiting, group, opts.lifo) for group in turn]
    # A LIMIT inside a UNION needs brackets that not every database has: one more level does.
    query = union_all(*(select(first.subquery().c.seq) for first in firsts))
    return list(tx.conn.scalars(query if len(firsts) > 1 else firsts[0], params))


def _head(tx: Tx, waiting: Select[Any], group: str, lifo: bool) -> Select[Any]:
    jobs = tx.tables.jobs
    mine = waiting.where(jobs.c.group_id == group if group else jobs.c.group_id.is_(None))
    if not lifo:
        return mine.order_by(*fetch.oldest(jobs)).limit(1)
    best = mine.with_only_columns(jobs.c.priority).order_by(*fetch.oldest(jobs)).limit(1)
    same = mine.where(jobs.c.priority == best.scalar_subquery())
    return same.order_by(jobs.c.seq.desc()).limit(1)


def _note_turn(tx: Tx, queue: str, served: Sequence[str]) -> None:
    """Send groups to the end of the line, in this order."""
    if not served:
        return
    groups = tx.tables.groups
    newest = select(func.max(groups.c.served)).where(groups.c.queue_name == queue)
    last = tx.conn.scalar(newest) or 0
    turns = [[queue, group, last + i] for i, group in enumerate(served, start=1)]
    serving = _serving(tx.tables, tx.dialect, tx.dialect.batch_size(turns))
    tx.conn.execute(serving, tx.dialect.batch_values(_TURN, turns))


_TURN: dict[str, Any] = {"queue_name": Key(), "group_id": Key(), "served": BigInteger()}


@functools.lru_cache(maxsize=64)
def _serving(tables: Tables, dialect: Dialect, size: int) -> Update:
    # The queue comes with the batch: with a constant, SQLite reads all groups of the queue.
    groups, batch = tables.groups, dialect.batch(_TURN, size)
    mine = (groups.c.queue_name == batch.c.queue_name, groups.c.group_id == batch.c.group_id)
    return update(groups).where(*mine).values(served=batch.c.served)


def get_group_active_count(tx: Tx, queue: str, group_id: str) -> int:
    """Count the active jobs of a group."""
    check_names(queue=queue, group_id=group_id)
    return _count(tx, queue, group_id, JobState.ACTIVE)


def get_waiting_group_count(tx: Tx, queue: str, group_id: str) -> int:
    """Count the waiting jobs of a group."""
    check_names(queue=queue, group_id=group_id)
    return _count(tx, queue, group_id, JobState.WAITING)


def _count(tx: Tx, queue: str, group_id: str, state: JobState) -> int:
    jobs = tx.tables.jobs
    mine = (jobs.c.queue_name == queue, jobs.c.group_id == group_id, jobs.c.state == STATES[state])
    return tx.conn.scalar(select(func.count()).select_from(jobs).where(*mine)) or 0
