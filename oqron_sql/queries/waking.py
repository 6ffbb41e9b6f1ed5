"""Whom a change wakes, once it is committed: workers of a queue, and those who wait for a job."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from oqron_sql.contract.model import JobState
from oqron_sql.contract.topics import job_topic, jobs_topic
from oqron_sql.queries.tx import Tx

_FETCHABLE = (JobState.WAITING.value, JobState.DELAYED.value)


def rouse(tx: Tx, queue: str) -> None:
    """Wake workers: there is something to fetch, or will be sooner than they know."""
    tx.tell(jobs_topic(queue))


def rouse_for(tx: Tx, rows: Iterable[dict[str, Any]]) -> None:
    """Wake the workers that new rows are for."""
    for queue, state in {(row["queue_name"], row["state"]) for row in rows}:
        if state in _FETCHABLE:
            rouse(tx, queue)


def report(tx: Tx, queue: str, job_ids: Collection[str]) -> None:
    """Wake those who wait for one of the jobs, if it is known that anybody does."""
    tx.topics |= tx.settings.asked().among(queue, job_ids)


def report_surely(tx: Tx, queue: str, job_id: str) -> None:
    """Wake those who wait for a job: of changes that are rare, and made by who listens to none."""
    tx.tell(job_topic(queue, job_id))
