"""How jobs are shown: in a list without what they carry, alone with all of it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from rich.console import Console

from oqron_sql.cli.printing import (
    new_console,
    plain,
    print_json,
    print_table,
    say,
    show_instant,
)
from oqron_sql.contract import Job, JobState, Schedule, SearchResult

PRIVATE = frozenset(
    {"data", "returnvalue", "logs", "stacktrace", "attempt_logs", "opts", "deduplication_key"}
)
REASON_LENGTH = 60
HEADINGS = ("id", "name", "state", "attempts", "since", "worker", "reason")


def print_jobs(found: SearchResult, *, as_json: bool) -> None:
    """Print one page of jobs."""
    if as_json:
        print_json({"total": found.total, "jobs": [_summary(job) for job in found.jobs]})
        return
    console = new_console()
    if found.jobs:
        print_table(console, HEADINGS, [_row(job) for job in found.jobs])
    say(console, f"{len(found.jobs):,} of {found.total:,}")


def _summary(job: Job) -> dict[str, Any]:
    names = (field.name for field in dataclasses.fields(job))
    return {name: getattr(job, name) for name in names if name not in PRIVATE}


def _row(job: Job) -> list[str | int]:
    since = {
        JobState.ACTIVE: job.processed_at,
        JobState.COMPLETED: job.completed_at,
        JobState.FAILED: job.failed_at,
    }.get(job.state, job.created_at)
    when = f"until {show_instant(job.delay_until)}" if job.delay_until else show_instant(since)
    reason = next(iter((job.failed_reason or "").splitlines()), "")
    return [
        job.id,
        job.name,
        f"{job.state}{' (cancelled)' if job.cancelled_at else ''}",
        _attempts(job),
        when,
        job.locked_by or "",
        reason if len(reason) <= REASON_LENGTH else reason[: REASON_LENGTH - 1] + "…",
    ]


def _attempts(job: Job) -> str:
    """Return how many attempts were begun: `attempts_made` counts those that failed."""
    begun = job.attempts_made + (job.state in (JobState.ACTIVE, JobState.COMPLETED))
    return f"{begun} of {job.opts.attempts}"


def print_job(job: Job, *, as_json: bool) -> None:
    """Print everything about a job."""
    if as_json:
        print_json(job)
        return
    told = [
        dataclasses.replace(each, stacktrace=None) if each.stacktrace in job.stacktrace else each
        for each in job.attempt_logs
    ]
    print_fields(
        job, attempts_made=("attempts", _attempts(job)), attempt_logs=("attempt_logs", told)
    )


def print_fields(shown: Job | Schedule, **otherwise: tuple[str, Any]) -> None:
    """Print the fields that have something in them, some of them under another name."""
    console = new_console()
    for field in dataclasses.fields(shown):
        name, value = field.name, getattr(shown, field.name)
        _print_field(console, *otherwise.get(name, (name, value)))


def _print_field(console: Console, name: str, value: Any) -> None:
    """Print a field, unless there is nothing in it; what has several lines goes below its name."""
    if name == "data":
        lines = json.dumps(plain(value), indent=2, ensure_ascii=False).splitlines()
    elif dataclasses.is_dataclass(value):
        lines = [
            f"{each.name} = {_word(getattr(value, each.name))}"
            for each in dataclasses.fields(value)
            if getattr(value, each.name) != each.default
        ]
    elif value is None or value == () or value == []:
        return
    elif name == "returnvalue" or isinstance(value, dict):
        lines = json.dumps(plain(value), indent=2, ensure_ascii=False).splitlines()
    elif isinstance(value, list | tuple):
        lines = [line for each in value for line in _word(each).splitlines()]
    else:
        lines = _word(value).splitlines()
    if len(lines) == 1:
        say(console, f"{name:22} {lines[0]}")
    elif lines:
        say(console, name)
        for line in lines:
            say(console, f"    {line}")


def _word(value: Any) -> str:
    made = plain(value)
    return made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)
