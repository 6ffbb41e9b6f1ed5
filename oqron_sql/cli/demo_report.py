"""The end of the demo: is every file accounted for exactly once? Asked of the store alone."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from oqron_sql.cli.demo_crew import Member
from oqron_sql.cli.demo_files import Found, Seen, look_at
from oqron_sql.cli.messages import plural
from oqron_sql.cli.printing import printable, say
from oqron_sql.contract import AsyncStore, Job, JobState

PAGE = 500
SPOT_CHECKS = 100
SPOT_CHECK_SIZE = 1 << 20
SHOWN = 5


@dataclasses.dataclass(slots=True)
class Account:
    """What the store says about every file, and everything that is not as it has to be."""

    files: int = 0
    bytes: int = 0
    lines: int = 0
    recovered: int = 0
    hashed: int = 0
    changed: int = 0
    words: Counter[str] = dataclasses.field(default_factory=Counter)
    by_worker: Counter[str] = dataclasses.field(default_factory=Counter)
    problems: list[str] = dataclasses.field(default_factory=list)


async def account_for(store: AsyncStore, queue: str, found: Found) -> Account:
    """Compare the jobs of `queue` with the files that were found."""
    account = Account()
    missing = dict(found.files)
    every = max(1, len(missing) // SPOT_CHECKS)
    async for job in _all(store, queue, JobState.COMPLETED):
        seen = missing.pop(job.data, None)
        if seen is None:
            what = "twice" if job.data in found.files else "but was never asked for"
            account.problems.append(f"completed {what}: {job.data}")
            continue
        account.files += 1
        _add(account, job)
        _check(account, job, seen, hash_too=account.files % every == 0)
    async for job in _all(store, queue, JobState.FAILED):
        missing.pop(job.data, None)
        account.problems.append(f"failed: {job.data}: {job.failed_reason}")
    for state, count in (await store.get_job_counts(queue)).items():
        if count and state not in (JobState.COMPLETED, JobState.FAILED):
            account.problems.append(f"still {state}: {plural(count, 'job')}")
    account.problems += [f"no job has ended for: {path}" for path in missing]
    return account


def print_summary(
    console: Console, account: Account, found: Found, members: list[Member], seconds: float
) -> None:
    """Print the summary table, what was left out, and the verdict."""
    table = Table(show_header=False, box=None, pad_edge=False, title_justify="left")
    table.add_column(style="dim")
    table.add_column()
    rate = account.files / seconds if seconds else 0.0
    rows = [
        ("files", f"{account.files:,}"),
        ("bytes", f"{account.bytes:,}"),
        ("lines", f"{account.lines:,}"),
        ("duration", f"{seconds:.1f} s, {rate:,.0f} jobs/s on the whole"),
        ("recovered", f"{account.recovered:,}"),
        ("by worker", _by_worker(account, members)),
        ("top words", ", ".join(f"{word} {n:,}" for word, n in account.words.most_common(6))),
    ]
    for name, value in rows:
        table.add_row(name, Text(value))
    console.print()
    console.print(table)
    console.print()
    for note in _notes(account, found):
        say(console, note, "yellow")
    _print_verdict(console, account, found)


def _print_verdict(console: Console, account: Account, found: Found) -> None:
    if not account.problems:
        say(
            console,
            f"OK: {plural(len(found.files), 'file')}, each with exactly one completed job and the "
            f"right size ({account.hashed:,} SHA-256 compared); none failed, none is left.",
            "bold green",
        )
        return
    count = len(account.problems)
    say(console, f"NOT OK: {plural(count, 'problem')}.", "bold red")
    for problem in account.problems[:SHOWN]:
        say(console, f"  {problem}", "red")
    if count > SHOWN:
        say(console, f"  and {count - SHOWN:,} more", "red")


async def _all(store: AsyncStore, queue: str, state: JobState) -> AsyncIterator[Job]:
    start = 0
    while jobs := await store.list_jobs(queue, state, start, start + PAGE):
        for job in jobs:
            yield job
        start += PAGE


def _add(account: Account, job: Job) -> None:
    result = job.returnvalue
    account.bytes += result["bytes"]
    account.lines += result["lines"]
    account.recovered += job.lost_count
    account.by_worker[result["worker"]] += 1
    account.words.update(dict(result["words"]))


def _check(account: Account, job: Job, seen: Seen, *, hash_too: bool) -> None:
    path, result = job.data, job.returnvalue
    if job.lease != job.lost_count + 1:
        account.problems.append(f"leased {job.lease} times, lost {job.lost_count} times: {path}")
    if look_at(path) != seen:
        account.changed += 1
    elif result["bytes"] != seen.size:
        account.problems.append(f"{seen.size:,} bytes, but {result['bytes']:,} were read: {path}")
    elif hash_too and seen.size <= SPOT_CHECK_SIZE:
        account.hashed += 1
        if hashlib.sha256(Path(path).read_bytes()).hexdigest() != result["sha256"]:
            account.problems.append(f"its SHA-256 is not the one that was computed: {path}")


def _by_worker(account: Account, members: list[Member]) -> str:
    return ", ".join(
        f"#{m.number} {account.by_worker[m.worker_id]:,}{' (dead)' if m.dead else ''}"
        for m in members
    )


def _notes(account: Account, found: Found) -> list[str]:
    notes = []
    if found.unnameable:
        notes.append(f"left out {plural(found.unnameable, 'file')} with a name that is not UTF-8")
    if found.closed:
        notes.append(f"left out {plural(found.closed, 'folder')} that cannot be listed")
    if account.changed:
        notes.append(f"did not compare {plural(account.changed, 'file')} that changed meanwhile")
    return [printable(note) for note in notes]
