"""What is only ever appended to a job: log lines, stack traces, attempts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert

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
