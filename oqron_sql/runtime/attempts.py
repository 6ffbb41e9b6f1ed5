"""One lease of a job by a worker: what the worker knows of it, and what came of it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping
from typing import Any

from oqron_sql.contract import Fail, Job, Outcome, Release, Retry
from oqron_sql.contract.codec import clean_text
from oqron_sql.contract.model import CANCELLED
from oqron_sql.errors import GiveUp
from oqron_sql.runtime.backoff import Strategy, delay_of
from oqron_sql.runtime.context import Context, Stop
from oqron_sql.runtime.handlers import Entry, NoHandler
from oqron_sql.runtime.notes import Notebook
from oqron_sql.runtime.threads import ThreadCall

FRAMES = 50


class Attempt(Context[Any]):
    """A context, and what the worker has to know besides.

    `asked_at`, `seen_at` and `lease_end` are instants of the monotonic clock: when the lease was
    asked for, when it was last known to be held, and when it ends unless it is extended, by the
    most careful reckoning. `group` are the attempts that one call of a handler makes together,
    mostly this one alone.
    """

    __slots__ = ("asked_at", "deadline", "entry", "group", "lease_end", "running", "seen_at")

    def __init__(
        self, job: Job, notebook: Notebook, entry: Entry, asked_at: float, lease: float
    ) -> None:
        self.job = job  # here, and not by the class above: this is made for every job
        self.stop = None
        self._notebook = notebook
        self.entry = entry
        self.asked_at = self.seen_at = asked_at
        self.lease_end = asked_at + lease
        self.group: tuple[Attempt, ...] = ()
        self.running: asyncio.Task[None] | ThreadCall | None = None
        self.deadline: int | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What of it is logged beside the message."""
        job = self.job
        return {"queue": job.queue_name, "job_id": job.id, "job_name": job.name}


def outcome_of(
    attempt: Attempt, error: BaseException, strategies: Mapping[str, Strategy]
) -> Outcome | None:
    """Return what an attempt came to that ended with `error`; None if that is not ours to say."""
    job = attempt.job
    match attempt.stop:
        case Stop.LEASE_LOST:
            return None
        case Stop.CLOSING:
            return Release(job)
        case Stop.CANCELLED:
            return Fail(job, CANCELLED)
        case Stop.TIMED_OUT:
            reason = _timed_out(job)
        case None:
            reason = _text(error)
    trace = None
    if not isinstance(error, NoHandler):  # whose traceback is all ours
        trace = "".join(traceback.format_exception(error, limit=-FRAMES))
    failures = job.attempts_made + 1
    if failures >= job.opts.attempts or job.discarded or isinstance(error, GiveUp):
        return Fail(job, reason, trace)
    return Retry(job, reason, delay_of(job.opts.backoff, failures, error, strategies), trace)


def _timed_out(job: Job) -> str:
    if job.opts.timeout is None:
        return "timed out with another job of its batch"
    return f"timed out after {job.opts.timeout.total_seconds():g} s"


def _text(error: BaseException) -> str:
    """Return an error as people read it, of bounded length; making it must not fail."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the class of the error is the handler's
        text = "and its text cannot be had"
    return clean_text(f"{type(error).__name__}: {text}" if text else type(error).__name__)
