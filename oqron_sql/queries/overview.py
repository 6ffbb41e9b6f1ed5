"""Every queue at a glance, without reading its finished jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, case, false, func, literal_column, select

from oqron_sql.contract.model import JobState, QueueInfo
from oqron_sql.queries.schedules import count_upcoming
from oqron_sql.queries.tx import INSTANT, Tx
from oqron_sql.schema.tables import RESTING, STATES


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """The jobs of one queue that are in one state."""

    queue: str
    state: JobState
    count: int
    latest: Sequence[datetime | None]
    repeating: int = 0


def list_queues(tx: Tx) -> list[QueueInfo]:
    """Return every queue that has a job, by name."""
    return [info for info in list_known_queues(tx) if any(info.counts.values())]


def list_known_queues(tx: Tx) -> list[QueueInfo]:
    """Return every queue that has a job or is paused, by name."""
    parts = [*_live(tx, RESTING), *_live(tx, (JobState.ACTIVE,)), *_finished(tx)]
    queues = tx.tables.queues
    paused = set(tx.conn.scalars(select(queues.c.name).where(queues.c.paused)))
    names = sorted({part.queue for part in parts} | paused)
    series = count_upcoming(tx, names)
    return [
        _info(
            name,
            [part for part in parts if part.queue == name],
            series=series.get(name, 0),
            is_paused=name in paused,
        )
        for name in names
    ]


def _info(name: str, parts: Sequence[_Part], *, series: int, is_paused: bool) -> QueueInfo:
    counts = dict.fromkeys(JobState, 0) | {part.state: part.count for part in parts}
    instants = [instant for part in parts for instant in part.latest if instant is not None]
    return QueueInfo(
        name=name,
        counts=counts,
        is_paused=is_paused,
        latest_activity=max(instants, default=None),
        scheduled_count=series + sum(part.repeating for part in parts),
    )


def _live(tx: Tx, states: Sequence[JobState]) -> list[_Part]:
    """Read the jobs in `states`, which together are the condition of a partial index."""
    jobs = tx.tables.jobs
    literals = [STATES[state] for state in states]
    mine = jobs.c.state.in_(literals) if len(literals) > 1 else jobs.c.state == literals[0]
    by = (jobs.c.queue_name, jobs.c.state)
    query = select(
        *by,
        func.count(),
        func.sum(case((jobs.c.repeats, literal_column("1")), else_=literal_column("0"))),
        func.max(jobs.c.created_at, type_=INSTANT),
        func.max(jobs.c.processed_at, type_=INSTANT),
    ).where(_known(tx, mine))
    return [
        _Part(queue, JobState(state), n, instants, int(repeating))
        for queue, state, n, repeating, *instants in tx.conn.execute(query.group_by(*by))
    ]


def _known(tx: Tx, mine: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return `mine` such that an index answers it where none is of these states alone."""
    if tx.dialect.partial_indexes:
        return mine
    # Every index begins with the queue; which there are takes one look per queue and state.
    jobs = tx.tables.jobs
    by = (jobs.c.queue_name, jobs.c.state)
    names = {name for name, _ in tx.conn.execute(select(*by).where(mine).group_by(*by))}
    return jobs.c.queue_name.in_(sorted(names)) & mine if names else false()


def _finished(tx: Tx) -> list[_Part]:
    table = tx.tables.tallies
    by = (table.c.queue_name, table.c.state)
    counts = tx.conn.execute(select(*by, func.sum(table.c.n)).group_by(*by)).all()
    return [
        _Part(queue, JobState(state), int(n), [_latest_end(tx, queue, JobState(state))])
        for queue, state, n in counts
        if n > 0
    ]


def _latest_end(tx: Tx, queue: str, state: JobState) -> datetime | None:
    jobs = tx.tables.jobs
    ended = jobs.c.completed_at if state is JobState.COMPLETED else jobs.c.failed_at
    mine = (jobs.c.queue_name == queue, jobs.c.state == STATES[state], ended.is_not(None))
    # Not max(), which reads all of them where the index does not know the state.
    latest: datetime | None = tx.conn.scalar(
        select(ended).where(*mine).order_by(ended.desc()).limit(1)
    )
    return latest
