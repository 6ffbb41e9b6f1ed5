"""A queue with a long history and a long backlog, loaded with one statement per kind of job."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import Connection

BIG, OTHERS = "big", ("mail", "images", "reports", "billing", "imports")
FINISHED, WAITING, ACTIVE, DELAYED, PARENTS = 200_000, 50_000, 5_000, 3_000, 500
OTHER = 200  # of each kind, in each of the other queues
NAMES, GROUPS, KEYS = 10, 100, 10

Columns = Mapping[str, str]

# What differs between jobs is computed from their number `i` of `n`; AT(x) is x seconds from now.
# A third of all jobs is in groups, with no regard to name or priority.
COMMON: Columns = {
    "name": f"'name-' || (i % {NAMES})",
    "priority": "(i % 7) % 4",
    "group_id": f"CASE WHEN i % 3 = 0 THEN 'group-' || (i % {GROUPS}) END",
    "data": """'{"to": "somebody", "number": ' || i || '}'""",
    "deduplication_key": f"CASE WHEN i % {KEYS} = 5 THEN 'key-' || i END",
}
RAN = {"lease": "1", "processed_at": "AT(i - n - 9)", "created_at": "AT(i - n - 99)"}
CHILD = {
    "parent_queue_name": f"CASE WHEN i % 50 = 0 THEN '{BIG}' END",
    "parent_id": f"CASE WHEN i % 50 = 0 THEN 'parent-' || (i % {PARENTS}) END",
}
KINDS: Mapping[str, Columns] = {
    "completed": RAN | CHILD | {"completed_at": "AT(i - n)", "returnvalue": "'true'"},
    "failed": RAN
    | {
        "failed_at": "AT(i - n)",
        "failed_reason": "'it broke'",
        "attempts_made": "1",
        "entries": "2",
    },
    "waiting": {
        "created_at": "AT(i * 0.1 - n)",
        "dedup_slot": f"CASE WHEN i % {KEYS} = 5 THEN 'key-' || i END",
    },
    "active": RAN
    | {
        "locked_by": "'worker-' || (i % 50)",
        "lock_until": "AT(CASE WHEN i % 10 = 0 THEN -i ELSE 9999 END)",
    },
    "delayed": {"created_at": "AT(i - n - 99)", "delay_until": "AT(60 * i - 20 * n)"},
    "waiting-children": {
        "id": "'parent-' || (i - 1)",
        "created_at": "AT(i - n)",
        "pending_children_count": "8",
        "children_ids": """'["a", "b"]'""",
    },
}
# One in five is paused, and a thousand are due.
SCHEDULES: Columns = {
    "queue_name": f"'{BIG}'",
    "schedule_key": "'key-' || i",
    "job_name": "'name-1'",
    "every_us": "86400000000",
    "catchup": "'latest'",
    "anchor": "AT(i - 1250 - 86400)",
    "next_slot": "CASE WHEN i % 5 <> 0 THEN AT(i - 1250) END",
    "version": "1",
    "data": "'null'",
}
HISTORY = """
    INSERT INTO {p}history (job_seq, kind, body)
    SELECT seq, kind, body FROM {p}jobs, (SELECT 'stack' AS kind, '"at line 1"' AS body UNION ALL
    SELECT 'attempt', '{{"attempt": 1, "status": "failed", "error": "it broke"}}') AS entry
    WHERE entries > 0 AND seq > (SELECT coalesce(max(job_seq), 0) FROM {p}history)
    ORDER BY seq, kind DESC
"""
GROUPS_OF_JOBS = """
    INSERT INTO {p}groups (queue_name, group_id)
    SELECT DISTINCT queue_name, group_id FROM {p}jobs WHERE group_id IS NOT NULL
"""
TALLIES = """
    INSERT INTO {p}tallies (queue_name, state, shard, n) SELECT queue_name, state, 0, count(*)
    FROM {p}jobs WHERE state IN ('completed', 'failed') GROUP BY queue_name, state
"""
KEPT = 200
# One in ten is kept for a span, which is over for the first thousand; a few are kept as the newest.
RETENTION = f"""
    INSERT INTO {{p}}retention (queue_name, state, most, expires_at, job_seq, lease)
    SELECT queue_name, state, CASE WHEN seq % 1000 = 7 THEN {KEPT} END,
    CASE WHEN seq % 10 = 1 THEN AT(seq - 1000) END, seq, lease FROM {{p}}jobs
    WHERE queue_name = '{BIG}' AND state = 'completed' AND (seq % 1000 = 7 OR seq % 10 = 1)
    ORDER BY seq
"""
# How a database says "x seconds from now".
AT = {
    "postgresql": r"now() + (\1) * interval '1 second'",
    "mysql": r"TIMESTAMPADD(MICROSECOND, (\1) * 1000000, UTC_TIMESTAMP(6))",
    "sqlite": r"strftime('%Y-%m-%d %H:%M:%f000', 'now', (\1) || ' seconds')",
}


def add_jobs(conn: Connection, prefix: str, queue: str, state: str, n: int, first: int = 1) -> None:
    """Add `n` jobs in `state`, numbered from `first`."""
    columns = {
        "queue_name": f"'{queue}'",
        "id": f"'{state}-' || i",
        "state": f"'{state}'",
        **COMMON,
        **KINDS[state],
    }
    insert(conn, f"{prefix}jobs", columns, n, first)


def insert(conn: Connection, table: str, columns: Columns, n: int, first: int = 1) -> None:
    """Add `n` rows of what the columns are computed from."""
    last = first + n - 1
    values = ", ".join(
        re.sub(r"AT\((.*)\)", AT[conn.dialect.name], re.sub(r"\bn\b", str(last), value))
        for value in columns.values()
    )
    execute(
        conn,
        f"INSERT INTO {table} ({', '.join(columns)}) "
        f"WITH RECURSIVE numbers(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM numbers "
        f"WHERE i < {last}) SELECT {values} FROM numbers",
    )


def execute(conn: Connection, statement: str) -> None:
    """Execute a statement as it is written."""
    percent = "%" if conn.dialect.paramstyle in ("qmark", "named") else "%%"
    conn.exec_driver_sql(statement.replace("%", percent))


def add_history(conn: Connection, prefix: str, finished: int, first: int = 1) -> None:
    """Add finished jobs to the big queue, one in ten of them failed."""
    add_jobs(conn, prefix, BIG, "completed", finished - finished // 10, first)
    add_jobs(conn, prefix, BIG, "failed", finished // 10, first)


def add_backlog(conn: Connection, prefix: str) -> None:
    """Add what is not finished in the big queue, and something of all kinds in other queues."""
    counts = {"active": ACTIVE, "waiting": WAITING, "delayed": DELAYED, "waiting-children": PARENTS}
    for state, n in counts.items():
        add_jobs(conn, prefix, BIG, state, n)
    insert(conn, f"{prefix}schedules", SCHEDULES, 5000)
    for queue in OTHERS:
        for state in KINDS:
            add_jobs(conn, prefix, queue, state, OTHER)


def complete(conn: Connection, prefix: str) -> None:
    """Add what the other tables say of the jobs."""
    emptied = [f"DELETE FROM {{p}}{name}" for name in ("groups", "tallies", "retention")]
    retention = re.sub(r"AT\((.*?)\)", AT[conn.dialect.name], RETENTION)
    for statement in (HISTORY, *emptied, GROUPS_OF_JOBS, TALLIES, retention):
        conn.exec_driver_sql(statement.format(p=prefix).replace("%", _percent(conn)))


def _percent(conn: Connection) -> str:
    return "%" if conn.dialect.paramstyle in ("qmark", "named") else "%%"
