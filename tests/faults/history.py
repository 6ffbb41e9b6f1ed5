"""What every process of a run did, in files that outlive it: a line is written in one call.

A process writes what it is about to do before it does it, and what it learned right after. What was
begun and never answered is unknown: it may have happened or not.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

now = time.monotonic
"""One clock for all processes of a machine; `at` and `asked` are read from it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One line of a history: who did what, and when it was written."""

    what: str
    at: float
    process: str
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.facts.get(name, default)


class Journal:
    """The history of one process, as it writes it."""

    def __init__(self, folder: Path, process: str) -> None:
        self.process = f"{process}-{os.getpid()}"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(folder / f"{self.process}.jsonl", flags, 0o644)

    def write(self, what: str, **facts: Any) -> None:
        line = json.dumps([what, now(), facts], separators=(",", ":"))
        os.write(self._file, f"{line}\n".encode())


class History:
    """The events of all processes, in the order of the clock they share."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = sorted(events, key=lambda event: event.at)
        self._by_kind: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            self._by_kind[event.what].append(event)

    def of(self, *kinds: str) -> Iterator[Event]:
        """Go through the events of these kinds."""
        for kind in kinds:
            yield from self._by_kind.get(kind, ())

    def count(self, kind: str) -> int:
        return len(self._by_kind.get(kind, ()))

    def steps(self, since: float, until: float) -> tuple[float, float]:
        """Return by how much the database's clock was put forth, and back, in a span of ours."""
        span = [e["by"] for e in self.of("stepped") if e["asked"] <= until and e.at >= since]
        return sum(by for by in span if by > 0), -sum(by for by in span if by < 0)


def read(folder: Path) -> History:
    """Return what all processes wrote; a line that a kill left unfinished is left out."""
    events: list[Event] = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                what, at, facts = json.loads(line)
            except ValueError:
                continue
            events.append(Event(what, at, path.stem, facts))
    return History(events)
