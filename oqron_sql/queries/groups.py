"""Groups take turns, and none has more active jobs than its cap.

A claim locks up to n group rows that have a waiting job and seem to have room, least recently
served first, passing over those that another claim holds. Only then, in new statements, so that
they see what was committed before the lock was had, does it count each group's active jobs and take
the first of its line. The cost follows n; workers on different groups do not wait for each other.

Where there are fewer groups than jobs to take, each gives several at once: they are chosen as if
the groups took turns one job at a time.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    func,
    or_,
    select,
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
FEW = 8
"""How many jobs of each group one statement looks up; for more, each group has one of its own."""
_GROUP: dict[str, Any] = {"group_id": Key()}
_TURN: dict[str, Any] = {"queue_name": Key(), "group_id": Key(), "served": BigInteger()}


def know_groups(tx: Tx, queue: str, group_ids: Collection[str]) -> bool:
    """Let groups that have a job take part in the turns; tell whether any of them is new."""
    groups = tx.tables.groups
    mine = (groups.c.queue_name == queue, groups.c.group_id.in_(group_ids))
    known = set(tx.conn.scalars(select(groups.c.group_id).where(*mine)))
    rows = ({"queue_name": queue, "group_id": new} for new in sorted({*group_ids} - known))
    added = [tx.dialect.insert_ignore(tx, groups, row) for row in rows]
    return any(added)


def claim_by_turn(tx: Tx, n: int, opts: FetchOptions, params: dict[str, Any]) -> list[Row[Any]]:
    """Lease up to `n` jobs, at most one per group and round."""
    tx.begin()
    queue = params["queue"]
    taken: list[Row[Any]] = []
    passed: set[str] = set(opts.exclude_groups)
    while len(taken) < n:
        wanted = n - len(taken)
        rows = _lock_next(tx, wanted, opts, passed, params)
        if not (rows and rows[0].loose) and know_groups(tx, queue, [NO_GROUP]):
            continue
        if not rows:
            break
        turn = [row.group_id for row in rows]
        # Of the newest, one each: how many are of the same priority nobody knows.
        share = 1 if opts.lifo else -(-wanted // len(turn))
        room = _room(tx, queue, turn, share, opts)
        lines = _lines(tx, {group: n for group, n in room.items() if n}, opts, params)
        chosen = _in_turns([lines[group][: room[group]] for group in turn if room[group]])[:wanted]
        leased = _lease(tx, chosen, params)
        served = [row.group_id or NO_GROUP for row in leased]
        given = Counter(served)
        # They have no more, or no room. Or a fetch without groups took what was chosen: there is no
        # second look in this call.
        passed |= {group for group in turn if given[group] < share}
        _note_turns(tx, queue, rows[0].last or 0, served)
        taken += leased
        if len(turn) < wanted and passed.issuperset(turn):
            break  # there were no others
    return taken


def _in_turns(lines: Sequence[Sequence[int]]) -> list[int]:
    """Return what the lines have, the first of each before the second of any."""
    rounds = itertools.zip_longest(*lines)
    return [seq for each in rounds for seq in each if seq is not None]


def _lease(tx: Tx, chosen: Sequence[int], params: dict[str, Any]) -> list[Row[Any]]:
    """Lease those of the jobs that still wait, in this order."""
    if not chosen:
        return []
    place = {seq: i for i, seq in enumerate(chosen)}
    leased = fetch.claim(tx, _chosen(tx.tables, tx.dialect), {**params, "seqs": chosen})
    return sorted(leased, key=lambda row: place[row.seq])


@functools.lru_cache(maxsize=64)
def _chosen(tables: Tables, dialect: Dialect) -> Claim:
    jobs, seqs = tables.jobs, bindparam("seqs", expanding=True, type_=BigInteger)
    rows = select(jobs.c.seq).where(jobs.c.seq.in_(seqs), in_state(jobs, JobState.WAITING))
    return fetch.leasing(tables, dialect, rows)


def _lock_next(
    tx: Tx, n: int, opts: FetchOptions, passed: set[str], params: dict[str, Any]
) -> Sequence[Row[Any]]:
    """Lock and return up to `n` groups that have a waiting job, least recently served first.

    Each tells, too, the newest turn of all, and whether jobs without a group have a row.
    """
    capped = opts.group_concurrency is not None
    query = _next(tx.tables, tx.dialect, opts.job_name is not None, capped, bool(passed))
    given = {**params, "n": n, "cap": opts.group_concurrency, "passed": sorted(passed)}
    return tx.conn.execute(query, given).all()


@functools.lru_cache(maxsize=64)
def _next(
    tables: Tables, dialect: Dialect, named: bool, capped: bool, passing: bool
) -> Select[Any]:
    groups, jobs = tables.groups, tables.jobs
    queue = bindparam("queue", type_=groups.c.queue_name.type)
    waiting = fetch.runnable(tables, named).correlate(groups)
    waiting = waiting.order_by(*fetch.oldest(jobs)).limit(1)

    def some(mine: ColumnElement[bool]) -> ColumnElement[bool]:
        # Not EXISTS: to find one of what it takes for many, a planner reads the table as it lies.
        return waiting.where(mine).scalar_subquery().is_not(None)

    # Two look-ups rather than one with an OR in it, so that each is answered by the index.
    grouped = and_(groups.c.group_id != NO_GROUP, some(jobs.c.group_id == groups.c.group_id))
    if capped:
        # Seen before the lock is had, and so no promise: it spares a look at those that are full.
        busy = _active(tables, groups.c.group_id).correlate(groups).scalar_subquery()
        grouped = and_(grouped, busy < bindparam("cap", type_=Integer))
    loose = and_(groups.c.group_id == NO_GROUP, some(jobs.c.group_id.is_(None)))
    others = groups.alias("others")
    mine = others.c.queue_name == queue
    last = select(func.max(others.c.served)).where(mine).scalar_subquery()
    has_row = select(others.c.group_id).where(mine, others.c.group_id == NO_GROUP).exists()
    query = select(groups.c.group_id, last.label("last"), has_row.label("loose"))
    query = query.where(groups.c.queue_name == queue, or_(grouped, loose))
    if passing:
        # An expression: for the ranges between names MariaDB goes by the names, and sorts the order
        # of service; a locking read that sorts locks every group.
        names = bindparam("passed", expanding=True, type_=groups.c.group_id.type)
        query = query.where(func.coalesce(groups.c.group_id, NO_GROUP).not_in(names))
    query = query.order_by(groups.c.served, groups.c.group_id)
    return dialect.lock_rows(query.limit(bindparam("n", type_=Integer)))


def _room(
    tx: Tx, queue: str, turn: Sequence[str], share: int, opts: FetchOptions
) -> dict[str, int]:
    """Return how many jobs each group may have leased now, up to `share`."""
    cap = opts.group_concurrency
    room = {group: share if cap is None or not group else min(share, cap) for group in turn}
    if cap is not None:
        jobs = tx.tables.jobs
        mine = (jobs.c.queue_name == queue, jobs.c.state == STATES[JobState.ACTIVE])
        active = select(jobs.c.group_id, func.count().label("n")).where(*mine)
        active = active.where(jobs.c.group_id.in_(turn)).group_by(jobs.c.group_id)
        for group, n in tx.conn.execute(tx.current(active)):
            room[group] = max(0, min(share, cap - n))
    return room


def _lines(
    tx: Tx, room: dict[str, int], opts: FetchOptions, params: dict[str, Any]
) -> dict[str, list[int]]:
    """Return the first runnable jobs of each group, as many as it has room for."""
    named = opts.job_name is not None
    groups = [group for group in room if group != NO_GROUP]
    deep = max((room[group] for group in groups), default=FEW + 1)
    lines: dict[str, list[int]] = {}
    if deep <= FEW:
        rows = [[group] for group in groups]
        # Of a power of two each, so that there are few statements to prepare.
        deep, size = 1 << (deep - 1).bit_length(), tx.dialect.batch_size(rows)
        firsts = _firsts(tx.tables, tx.dialect, named, opts.lifo, deep, size)
        found = tx.conn.execute(firsts, {**params, **tx.dialect.batch_values(_GROUP, rows)})
        lines = {group: [seq for seq in seqs if seq is not None] for group, *seqs in found}
    for group in room.keys() - lines.keys():
        line = _line(tx.tables, named, opts.lifo, group == NO_GROUP)
        asked = {**params, "group": group, "n": room[group]}
        lines[group] = list(tx.conn.scalars(line, asked))
    return lines


@functools.lru_cache(maxsize=64)
def _firsts(
    tables: Tables, dialect: Dialect, named: bool, lifo: bool, deep: int, size: int
) -> Select[Any]:
    """Select groups that are given, and of each the numbers of its first jobs, a column each."""
    batch = dialect.batch(_GROUP, size)
    mine = fetch.runnable(tables, named).where(tables.jobs.c.group_id == batch.c.group_id)
    line = _in_order(tables, mine.correlate(batch), lifo).limit(1)
    return select(batch.c.group_id, *(line.offset(i).scalar_subquery() for i in range(deep)))


@functools.lru_cache(maxsize=64)
def _line(tables: Tables, named: bool, lifo: bool, loose: bool) -> Select[Any]:
    """Select the first jobs of one group."""
    group = tables.jobs.c.group_id
    whose = group.is_(None) if loose else group == bindparam("group", type_=group.type)
    mine = fetch.runnable(tables, named).where(whose)
    return _in_order(tables, mine, lifo).limit(bindparam("n", type_=Integer))


def _in_order(tables: Tables, mine: Select[Any], lifo: bool) -> Select[Any]:
    """Return the jobs of a group in their order; of the newest those of the first priority."""
    jobs = tables.jobs
    if not lifo:
        return mine.order_by(*fetch.oldest(jobs))
    best = mine.with_only_columns(jobs.c.priority).order_by(*fetch.oldest(jobs)).limit(1)
    return mine.where(jobs.c.priority == best.scalar_subquery()).order_by(jobs.c.seq.desc())


def _note_turns(tx: Tx, queue: str, last: int, served: Sequence[str]) -> None:
    """Send groups to the end of the line, in the order in which they were served last."""
    if not served:
        return
    turns = {group: last + i for i, group in enumerate(served, start=1)}
    rows = [[queue, group, turn] for group, turn in turns.items()]
    serving = _serving(tx.tables, tx.dialect, tx.dialect.batch_size(rows))
    tx.conn.execute(serving, tx.dialect.batch_values(_TURN, rows))


@functools.lru_cache(maxsize=64)
def _serving(tables: Tables, dialect: Dialect, size: int) -> Update:
    # The queue comes with the batch: with a constant, SQLite reads all groups of the queue.
    groups, batch = tables.groups, dialect.batch(_TURN, size)
    mine = (groups.c.queue_name == batch.c.queue_name, groups.c.group_id == batch.c.group_id)
    return update(groups).where(*mine).values(served=batch.c.served)


def _active(tables: Tables, group: ColumnElement[Any]) -> Select[Any]:
    """Count the active jobs of a group of the queue."""
    jobs = tables.jobs
    queue = bindparam("queue", type_=jobs.c.queue_name.type)
    mine = (jobs.c.queue_name == queue, jobs.c.group_id == group)
    return (
        select(func.count()).select_from(jobs).where(*mine, jobs.c.state == STATES[JobState.ACTIVE])
    )


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
    return tx.conn.scalar(tx.current(select(func.count()).select_from(jobs).where(*mine))) or 0
