"""What is only ever appended to a job: log lines, stack traces, attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, update

from oqron_sql.contract import codec
from oqron_sql.contract.model import JobState
from oqron_sql.queries.rows import attempt_body, completed_attempt
from oqron_sql.queries.tx import Tx


def append(tx: Tx, entries: Sequence[tuple[int, str, str]]) -> None:
    """Add (job's seq, kind, JSON text) in this order; the row's `entries` is the caller's."""
    if entries:
        tx.conn.execute(
            insert(tx.tables.history),
            [{"job_seq": seq, "kind": kind, "body": body} for seq, kind, body in entries],
        )


def forget(tx: Tx, seqs: Sequence[int], kinds: Sequence[str] = ()) -> None:
    """Delete the history of jobs, or only some kinds of it."""
    history = tx.tables.history
    statement = delete(history).where(history.c.job_seq.in_(seqs))
    tx.conn.execute(statement.where(history.c.kind.in_(kinds)) if kinds else statement)


def keep_last_attempts(tx: Tx, rows: Sequence[Row[Any]]) -> None:
    """Write down the attempts that only the rows that leave their state tell of."""
    done = [
        row for row in rows if row.state == JobState.COMPLETED and row.processed_at and row.lease
    ]
    if not done:
        return
    records = [
        (row.seq, completed_attempt(row.attempts_made + 1, row.processed_at, row.completed_at))
        for row in done
    ]
    append(tx, [(seq, "attempt", codec.dumps(attempt_body(r))) for seq, r in records])
    jobs = tx.tables.jobs
    tx.conn.execute(
        update(jobs)
        .where(jobs.c.seq.in_([row.seq for row in done]))
        .values(entries=jobs.c.entries + 1)
    )
