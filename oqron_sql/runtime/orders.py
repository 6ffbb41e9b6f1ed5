"""How jobs are made from what callers ask for, and what is told of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any, TypedDict, TypeVar

from oqron_sql.contract.checks import meant
from oqron_sql.contract.durations import parse_duration
from oqron_sql.contract.events import EventType, StoreEvent
from oqron_sql.contract.model import Job, JobState, JobUpdate
from oqron_sql.contract.newjob import new_job
from oqron_sql.contract.options import (
    Backoff,
    ChildPolicy,
    Deduplication,
    Group,
    JobOptions,
)
from oqron_sql.errors import InvalidInput

T = TypeVar("T")
Span = timedelta | float | str
"""A span of time: a timedelta, a number of seconds, or a text like "5 minutes"."""
Retained = bool | int | timedelta | str
Bulk = tuple[str, Any] | tuple[str, Any, JobOptions]
"""A job of a bulk: its name, its payload and, if need be, its options."""


class Options(TypedDict, total=False):
    """The members of `JobOptions` as keywords; a span may be a text, a group or a key its name."""

    attempts: int
    backoff: Backoff | None
    delay: Span | None
    priority: int
    deduplication: Deduplication | str | None
    remove_on_complete: Retained
    remove_on_fail: Retained
    timeout: Span | None
    job_id: str | None
    fail_parent_on_child_failure: ChildPolicy
    group: Group | str | None


EVERY_NAME = "__all__"
"""How the contract spells that a whole queue is paused."""
ENDED = (JobState.COMPLETED, JobState.FAILED)
AS_DUE: JobUpdate = {"state": JobState.WAITING, "delay_until": None}
AS_NEW: JobUpdate = {
    **AS_DUE,
    "attempts_made": 0,
    "lost_count": 0,
    "progress": 0,
    "returnvalue": None,
    "failed_reason": None,
    "stacktrace": [],
    "processed_at": None,
    "completed_at": None,
    "failed_at": None,
    "cancelled_at": None,
    "discarded": False,
}

KNOWN = frozenset(field.name for field in dataclasses.fields(JobOptions))
"""What may be asked of a job; of these, two are refused by name."""
_SPANS = ("delay", "timeout")
_RETAINED = ("remove_on_complete", "remove_on_fail")
_STATES = {
    JobState.WAITING: EventType.JOB_WAITING,
    JobState.DELAYED: EventType.JOB_DELAYED,
    JobState.WAITING_CHILDREN: EventType.JOB_WAITING_CHILDREN,
}


def order(queue: str, name: str, data: Any, opts: JobOptions, given: Options) -> Job:
    """Return the unsaved job that was asked for.

    Raises:
        InvalidInput: a name or an option cannot be what it is.
    """
    return new_job(queue, name, data, heeded(with_options(opts, given)))


def order_bulk(
    queue: str, entries: Iterable[Bulk], defaults: JobOptions, given: Options
) -> list[Job]:
    """Return the unsaved jobs of a bulk.

    Raises:
        InvalidInput: a name or an option cannot be what it is.
    """
    shared = heeded(with_options(defaults, given))
    return [
        new_job(queue, name, data, heeded(with_options(own[0], given)) if own else shared)
        for name, data, *own in entries
    ]


def heeded(opts: JobOptions) -> JobOptions:
    """Return the options, all of which somebody acts on.

    Raises:
        InvalidInput: they are none, or one is kept by stores for others, and would do nothing.
    """
    _check_kind(opts)
    if opts.repeat is not None:
        raise InvalidInput(
            "repeat", opts.repeat, "makes no series: use every() or cron() of the queue"
        )
    if opts.lifo:
        raise InvalidInput(
            "lifo", opts.lifo, "is not a job's: Worker(limits=FetchOptions(lifo=True)) decides"
        )
    return opts


def with_options(opts: JobOptions, given: Options) -> JobOptions:
    """Return `opts` with the members that are given.

    Raises:
        InvalidInput: `opts` are none, or a member cannot be what it is.
        TypeError: there is no such member.
    """
    if not given:
        return opts
    _check_kind(opts)
    check_known(given, KNOWN)
    return dataclasses.replace(opts, **_plain(given))


def check_known(given: Mapping[str, Any], known: AbstractSet[str]) -> None:
    """Refuse keywords that are no options, as Python does, and say which may have been meant.

    Raises:
        TypeError: there are some.
    """
    for name in given.keys() - known:
        raise TypeError(f"there is no option {name!r}{meant(name, known)}")


def after(delay: Span, field: str = "duration") -> timedelta:
    """Return the span that `delay` means, with or without a leading "in "."""
    return parse_duration(delay.removeprefix("in ") if isinstance(delay, str) else delay, field)


def leading(field: str, read: Callable[[Any], T], time: Any, name: Any) -> T:
    """Return what `read` makes of the time that a call begins with, before the name of the jobs."""
    try:
        return read(time)
    except InvalidInput as error:
        problem = error.problem
        with contextlib.suppress(InvalidInput, TypeError):
            read(name)  # as it does if they were swapped
            problem += "; the name comes after it"
        raise InvalidInput(field, time, problem) from None


def saved(job: Job) -> StoreEvent:
    """Return the event that tells of a job that was saved."""
    return StoreEvent(type=_STATES[job.state], queue_name=job.queue_name, job_id=job.id)


def _check_kind(opts: object) -> None:
    if not isinstance(opts, JobOptions):
        problem = "must be JobOptions, and single ones are keywords, as in attempts=3"
        raise InvalidInput("options", opts, problem)


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(given)
    for name in _SPANS:
        if made.get(name) is not None:
            made[name] = after(made[name], name)
    for name in _RETAINED:
        if isinstance(made.get(name), str):
            made[name] = parse_duration(made[name], name)
    if isinstance(made.get("group"), str):
        made["group"] = Group(id=made["group"])
    if isinstance(made.get("deduplication"), str):
        made["deduplication"] = Deduplication(key=made["deduplication"])
    return made
