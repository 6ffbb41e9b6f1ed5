"""Cleaning up, in bounded steps: each step is one transaction, repeated until nothing is left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, false, func, null, select, update

from oqron_sql.contract.checks import check_duration, check_name, check_names
from oqron_sql.contract.model import FINISHED, JobState, check_state
from oqron_sql.errors import InvalidInput, QueueActive
from oqron_sql.queries import deduplicating, flows, history, metrics, tallies
from oqron_sql.queries.counting import all_in, count_active, listed
from oqron_sql.queries.removing import delete_rows, doomed
from oqron_sql.queries.rows import in_state
from oqron_sql.queries.tx import Tx
from oqron_sql.queries.waking import rouse
from oqron_sql.schema.tables import RESTING, STATES

STEP = 1000  # jobs whose parents are told, by one statement


def clean_step(tx: Tx, queue: str, state: JobState, grace: timedelta, *, limit: int) -> int:
    """Delete up to `limit` jobs in `state` that are older than `grace`."""
    check_name("queue", queue)
    check_duration("grace", grace)
    jobs = tx.tables.jobs
    state = check_state("state", state)
    age: ColumnElement[Any] = jobs.c.created_at
    if state is JobState.COMPLETED:
        age = jobs.c.completed_at
    elif state is JobState.FAILED:
        age = jobs.c.failed_at
    tx.begin()
    old = _all_in(tx, queue, state).where(age < tx.now(-grace)).order_by(age, jobs.c.seq)
    return _remove(tx, old, limit)


def drain_step(tx: Tx, queue: str, *, limit: int) -> int:
    """Delete up to `limit` jobs that have not started; their parents first, so none is revived."""
    check_names(queue=queue)
    jobs = tx.tables.jobs
    tx.begin()
    for state in reversed(RESTING):
        n = _remove(tx, _all_in(tx, queue, state).order_by(jobs.c.created_at, jobs.c.seq), limit)
        if n:
            return n
    return 0


def _all_in(tx: Tx, queue: str, state: JobState) -> Select[Any]:
    return doomed(tx.tables.jobs).where(all_in(tx, queue, state))


def _remove(tx: Tx, rows: Select[Any], limit: int) -> int:
    found = tx.conn.execute(tx.dialect.lock_rows(rows.limit(limit))).all()
    return remove_rows(tx, found)


def remove_rows(tx: Tx, rows: Sequence[Row[Any]]) -> int:
    """Delete jobs selected by `doomed`, and tell the parents that still wait for them."""
    n = delete_rows(tx, rows)
    flows.tell(tx, [flows.Child.of(row, gone=True) for row in rows if not row.parent_notified])
    return n


def obliterate(tx: Tx, queue: str, *, force: bool = False) -> None:
    """Delete everything about a queue, unless jobs run in it."""
    check_name("queue", queue)
    t = tx.tables
    tx.begin()
    if not force:
        _refuse_active(tx, queue)
    with tx.whole():
        told = _delete_all(tx, queue, force=force)
    for table in (t.pauses, t.takes, t.retention, t.schedules):
        tx.conn.execute(delete(table).where(table.c.queue_name == queue))
    # These rows stay, as they were made: others have looked for them, and rely on them.
    queues, groups = t.queues, t.groups
    tx.conn.execute(update(queues).where(queues.c.name == queue).values(paused=false()))
    tx.conn.execute(update(groups).where(groups.c.queue_name == queue).values(served=0))
    metrics.forget(tx, queue)
    flows.tell(tx, [flows.Child.of(row, gone=True) for row in told])


def _delete_all(tx: Tx, queue: str, *, force: bool) -> list[Row[Any]]:
    """Delete all jobs of a queue and their tallies; return those that a parent elsewhere waits for.

    Again until none is left at one moment: a worker may have had one during the statements before,
    and may have handed it back, or finished it, which no longer counts once the tallies are locked.
    """
    jobs, entries = tx.tables.jobs, tx.tables.history
    here = jobs.c.queue_name == queue
    gone = here if force else here & (jobs.c.state != JobState.ACTIVE.value)
    last = tx.conn.scalar(select(func.max(jobs.c.seq))) or 0
    # Jobs that are saved from now on may stay, but none that counted in the tallies that go.
    left = select(jobs.c.seq).where(here, (jobs.c.seq <= last) | in_state(jobs, *FINISHED)).limit(1)
    elsewhere = jobs.c.parent_queue_name.is_not(None) & (jobs.c.parent_queue_name != queue)
    awaited = jobs.c.parent_id.is_not(None) & elsewhere & ~jobs.c.parent_notified
    query = tx.dialect.lock_rows(doomed(jobs).where(gone, awaited).limit(STEP), skip_locked=False)
    told: list[Row[Any]] = []
    while True:
        # Locked, for one that ends meanwhile tells its parent itself.
        while rows := tx.conn.execute(query).all():
            delete_rows(tx, rows)
            told += rows
        others = select(jobs.c.seq).where(gone, ~awaited, jobs.c.entries > 0)
        tx.conn.execute(delete(entries).where(entries.c.job_seq.in_(others)))
        tx.conn.execute(delete(jobs).where(gone, ~awaited))
        counted = tallies.lock(tx, queue)
        if tx.conn.execute(tx.current(left)).first() is None:
            tallies.forget(tx, counted)
            return told
        if not force:
            # A fetch has leased one meanwhile: then nothing of this happens.
            _refuse_active(tx, queue)


def _refuse_active(tx: Tx, queue: str) -> None:
    active = count_active(tx, queue)
    if active:
        raise QueueActive(queue, active)


def retry_step(tx: Tx, queue: str, state: JobState, *, limit: int) -> int:
    """Make up to `limit` finished jobs waiting as if never run."""
    check_name("queue", queue)
    if state not in FINISHED:
        raise InvalidInput("state", state, "must be failed or completed")
    jobs = tx.tables.jobs
    tx.begin()
    rows = tx.conn.execute(
        tx.dialect.lock_rows(listed(tx, queue, JobState(state)).limit(limit))
    ).all()
    history.keep_last_attempts(tx, rows)
    told = [row.seq for row in rows if row.entries]
    if told:
        history.forget(tx, told, ["stack"])
    if rows:
        rouse(tx, queue)
    n = tx.conn.execute(
        update(jobs)
        .where(
            jobs.c.seq.in_([row.seq for row in rows]), in_state(jobs, check_state("state", state))
        )
        .values(
            state=STATES[JobState.WAITING],
            attempts_made=0,
            progress=0,
            lost_count=0,
            discarded=false(),
            **dict.fromkeys(_CLEARED, null()),
        )
    ).rowcount
    tallies.add(tx, queue, state, -n)
    deduplicating.take_back(tx, [row for row in rows if row.deduplication_key is not None])
    return n


_CLEARED = (
    "returnvalue", "failed_reason", "failed_at", "completed_at", "processed_at", "cancelled_at",
    "delay_until", "lock_until", "locked_by",
)  # fmt: skip
