"""What the demo shows while it runs: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import deque
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from oqron_sql.cli.demo_crew import Member
from oqron_sql.cli.printing import printable, say
from oqron_sql.contract import JobState

PLAIN_EVERY = 1.0
RATE_SPAN = 2.0
STYLES = {"starting": "dim", "reading": "green", "idle": "yellow", "finished": "cyan"}


@dataclasses.dataclass(slots=True)
class Progress:
    """The numbers of a run: all of them the store's, except the workers' own lines."""

    root: str
    total: int
    members: list[Member]
    counts: dict[JobState, int] = dataclasses.field(default_factory=dict)
    started: float = dataclasses.field(default_factory=time.monotonic)
    ended: float | None = None
    _history: deque[tuple[float, int]] = dataclasses.field(default_factory=deque)

    def update(self, counts: dict[JobState, int], now: float) -> None:
        """Take over new counts."""
        self.counts = counts
        self._history.append((now, self.done))
        while now - self._history[0][0] > RATE_SPAN:
            self._history.popleft()

    @property
    def done(self) -> int:
        """Jobs that have ended, well or not."""
        return self.count(JobState.COMPLETED) + self.count(JobState.FAILED)

    @property
    def rate(self) -> float:
        """Jobs per second over the last seconds."""
        if not self._history:
            return 0.0
        (since, before), (now, done) = self._history[0], self._history[-1]
        return (done - before) / (now - since) if now > since else 0.0

    @property
    def elapsed(self) -> float:
        """Seconds from the start to now or to the end."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def leased_by_dead(self) -> int:
        """Jobs whose lease a dead worker still has."""
        return sum(len(member.leases) - member.returned for member in self.members)

    @property
    def recovered(self) -> int:
        """Jobs that came back from dead workers."""
        return sum(member.returned for member in self.members)

    def count(self, state: JobState) -> int:
        """Return how many jobs are in a state."""
        return self.counts.get(state, 0)


class Display(Protocol):
    """Where a run shows itself."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...

    def show(self, progress: Progress) -> None:
        """Show the numbers as they are now."""

    def event(self, text: str, style: str = "") -> None:
        """Say that something happened."""


def display_for(console: Console) -> Display:
    """Return the display that suits where `console` writes to."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


class PlainDisplay:
    """A line now and then, for a file, a pipe or a CI log."""

    def __init__(self, console: Console) -> None:
        self._console, self._started, self._said = console, time.monotonic(), 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        return

    def show(self, progress: Progress) -> None:
        """Say the numbers if it is some time since they were said."""
        now = time.monotonic()
        if now - self._said < PLAIN_EVERY:
            return
        self._said = now
        lost = f"  recovered {progress.recovered}" if progress.recovered else ""
        self.event(
            f"waiting {progress.count(JobState.WAITING)}  "
            f"active {progress.count(JobState.ACTIVE)}  "
            f"done {progress.done} of {progress.total}  {progress.rate:,.0f} jobs/s{lost}"
        )

    def event(self, text: str, style: str = "") -> None:
        """Say it with the time since the start."""
        say(self._console, f"{time.monotonic() - self._started:6.1f} s  {text}")


class LiveDisplay:
    """A progress bar, the counts and a line for each worker, drawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="visible")

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, at)

    def show(self, progress: Progress) -> None:
        """Draw the numbers."""
        room = max(self._console.height - 9, 3)
        self._live.update(render(progress, room), refresh=True)

    def event(self, text: str, style: str = "") -> None:
        """Print it above the display, where it stays."""
        say(self._console, f"• {text}", style)


def render(progress: Progress, room: int = 100) -> RenderableType:
    """Return the whole display, with at most `room` lines for workers."""
    return Group(Text(), _bar(progress), _counts(progress), Text(), _workers(progress, room))


def _bar(progress: Progress) -> RenderableType:
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    total = f"{progress.total:,}"
    share = progress.done / progress.total
    line.add_row(
        ProgressBar(total=progress.total, completed=progress.done),
        Text(f"{share:4.0%}  {progress.done:>{len(total)},} of {total}  {progress.elapsed:.1f} s"),
    )
    return line


def _counts(progress: Progress) -> RenderableType:
    width = len(f"{progress.total:,}")
    parts = [
        ("waiting", f"{progress.count(JobState.WAITING):<{width},}", "yellow"),
        ("active", f"{progress.count(JobState.ACTIVE):<4,}", "green"),
        ("done", f"{progress.count(JobState.COMPLETED):<{width},}", "cyan"),
        ("jobs/s", f"{progress.rate:<5,.0f}", "bold"),
    ]
    if progress.count(JobState.FAILED):
        parts.append(("failed", f"{progress.count(JobState.FAILED):,}", "bold red"))
    if progress.leased_by_dead:
        parts.append(("lost", f"{progress.leased_by_dead:,}", "red"))
    if progress.recovered:
        parts.append(("recovered", f"{progress.recovered:,}", "magenta"))
    line = Text()
    for name, number, style in parts:
        line.append(f"{name} ", "dim").append(number, style).append("  ")
    return line


def _workers(progress: Progress, room: int) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    table.add_column("worker", justify="right")
    table.add_column("pid", justify="right")
    table.add_column("state", min_width=8, no_wrap=True)
    table.add_column("done", justify="right", min_width=5)
    table.add_column("file", ratio=1, no_wrap=True, overflow="ellipsis")
    hidden = progress.members[:-room]
    if hidden:
        table.add_row(
            "…", "", "", f"{sum(m.done for m in hidden):,}", f"{len(hidden)} more workers"
        )
    for member in progress.members[-room:]:
        style = "red" if member.dead else STYLES.get(member.state, "")
        table.add_row(
            str(member.number),
            str(member.process.pid),
            Text("killed" if member.killed else member.state, style),
            f"{member.done:,}",
            Text(_note(member, progress.root), style="dim"),
        )
    return table


def _note(member: Member, root: str) -> str:
    if not member.dead:
        return "waiting for work" if member.state == "idle" else _below(root, member.file)
    if not member.leases:
        return "left no leased jobs"
    if member.returned < len(member.leases):
        return f"left {len(member.leases)} leased jobs, {member.returned} are back"
    return f"left {len(member.leases)} leased jobs, all are back"


def _below(root: str, path: str) -> str:
    shown = os.path.relpath(path, root) if path.startswith(root + os.sep) else path
    return printable(shown)
