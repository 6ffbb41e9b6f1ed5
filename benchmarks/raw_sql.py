"""What the store does, said straight to the driver: the same tables, columns and promises.

A claim counts the lease up and sets lock and owner; a finish is fenced by the lease, stores the
result, gives up lock and deduplication slot and counts the tally. Nothing else is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from benchmarks.workload import QUEUE, payload
from oqron_sql import SQLStore
from oqron_sql.contract import Job, new_id

Row = Sequence[Any]

MYSQL_SESSION = "SET SESSION tx_isolation = 'READ-COMMITTED', autocommit = %s"
MYSQL_CANDIDATES = """
    SELECT seq, lease, queue_name, id, name, state, lost_count, attempts_made, progress,
           pending_children_count, entries, discarded, created_at, processed_at, completed_at,
           failed_at, cancelled_at, delay_until, lock_until, locked_by, group_id,
           deduplication_key, parent_queue_name, parent_id, opts, data, returnvalue,
           failed_reason, children_ids, priority
    FROM oqron_jobs
    WHERE queue_name = %s AND state = 'waiting'
      AND NOT EXISTS (SELECT 1 FROM oqron_queues WHERE name = %s AND paused)
    ORDER BY priority, seq LIMIT %s FOR UPDATE SKIP LOCKED
"""
MYSQL_CLAIM = """
    UPDATE oqron_jobs
    SET state = 'active', lease = lease + 1, locked_by = %s, processed_at = utc_timestamp(6),
        lock_until = timestampadd(SECOND, 30, utc_timestamp(6))
    WHERE seq IN %s
"""
MYSQL_FINISH = """
    UPDATE oqron_jobs j JOIN JSON_TABLE(%s, '$[*]' COLUMNS (
        seq BIGINT PATH '$[0]', lease BIGINT PATH '$[1]', result LONGTEXT PATH '$[2]'
    )) b ON j.seq = b.seq AND j.lease = b.lease
    SET j.state = 'completed', j.completed_at = utc_timestamp(6), j.returnvalue = b.result,
        j.failed_reason = NULL, j.delay_until = NULL, j.locked_by = NULL, j.lock_until = NULL,
        j.dedup_slot = NULL, j.dedup_until = NULL
"""
MYSQL_TALLY = """
    INSERT INTO oqron_tallies (queue_name, state, shard, n) VALUES (%s, 'completed', 0, %s)
    ON DUPLICATE KEY UPDATE n = n + VALUES(n)
"""
MYSQL_INSERT = """
    INSERT INTO oqron_jobs (queue_name, id, name, state, data, created_at)
    VALUES (%s, %s, %s, %s, %s, %s)
"""
POSTGRESQL_INSERT = """
    INSERT INTO oqron_jobs (queue_name, id, name, state, data, created_at)
    VALUES ($1, $2, $3, $4, $5, statement_timestamp()) ON CONFLICT DO NOTHING
"""
POSTGRESQL_BULK = """
    INSERT INTO oqron_jobs (queue_name, id, name, state, data, created_at)
    SELECT $1, id, $3, $4, data, statement_timestamp()
    FROM unnest($2::text[], $5::text[]) WITH ORDINALITY AS batch (id, data, n)
    ORDER BY n ON CONFLICT DO NOTHING
"""
SQLITE_INSERT = """
    INSERT INTO oqron_jobs (queue_name, id, name, state, data, created_at)
    VALUES (?, ?, ?, ?, ?, ?)
"""
WAITING = "SELECT count(*) FROM oqron_jobs WHERE state = 'waiting'"
UNFINISHED = "SELECT count(*) FROM oqron_jobs WHERE state <> 'completed' OR returnvalue IS NULL"


BLOCKING = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg"}


def create_tables(url: str, jobs: int = 0) -> None:
    """Let the store make its tables and save so many jobs."""
    made = sa.make_url(url)
    backend = made.get_backend_name()
    store = SQLStore(made.set(drivername=BLOCKING.get(backend, backend)))
    store.connect()
    for first in range(0, jobs, 1000):
        numbers = range(first, min(first + 1000, jobs))
        store.save_bulk(
            QUEUE, [Job(name="noop", queue_name=QUEUE, data=payload(n)) for n in numbers]
        )
    store.disconnect()


def new_row(number: int) -> tuple[str, ...]:
    """Return the parameters of an insert, all of them, or pymysql sends the rows one by one."""
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return QUEUE, new_id(), "noop", "waiting", json.dumps(payload(number)), now


def outcomes(done: Iterable[tuple[Row, object]]) -> str:
    """Return what is finished: number, lease and result."""
    return json.dumps([(row[0], row[1] + 1, json.dumps(value)) for row, value in done])
