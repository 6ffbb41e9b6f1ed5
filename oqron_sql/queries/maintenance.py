"""Cleaning up, in bounded steps: each step is one transaction, repeated until nothing is left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, false, null, select, update

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
    jobs, groups, queues, t = tx.tables.jobs, tx.tables.groups, tx.tables.queues, tx.tables
    tx.begin()
    if not force:
        _refuse_active(tx, queue)
    gone: list[ColumnElement[bool]] = [jobs.c.queue_name == queue]
    if not force:
        gone.append(jobs.c.state != JobState.ACTIVE.value)
    query = doomed(jobs).where(
        *gone,
        jobs.c.parent_id.is_not(None),
        jobs.c.parent_queue_name != queue,
        ~jobs.c.parent_notified,
    )
    outside = tx.conn.execute(tx.current(query)).all()
    told = select(jobs.c.seq).where(*gone, jobs.c.entries > 0)
    with tx.whole():
        tx.conn.execute(delete(t.history).where(t.history.c.job_seq.in_(told)))
        tx.conn.execute(delete(jobs).where(*gone))
        if not force:
            # A fetch may have leased one meanwhile; then nothing of this happens.
            _refuse_active(tx, queue)
    for table in (t.pauses, t.takes, t.retention, t.schedules):
        tx.conn.execute(delete(table).where(table.c.queue_name == queue))
    # These rows stay, as they were made: others have looked for them, and rely on them.
    tx.conn.execute(update(queues).where(queues.c.name == queue).values(paused=false()))
    tx.conn.execute(update(groups).where(groups.c.queue_name == queue).values(served=0))
    tallies.forget(tx, queue)
    metrics.forget(tx, queue)
    flows.tell(tx, [flows.Child.of(row, gone=True) for row in outside])


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
