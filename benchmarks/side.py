"""How a side is run: a process of its own, told a task as JSON, answering a sample as JSON."""

from __future__ import annotations

import cProfile
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping

from benchmarks.plan import Sample, Task

Action = Callable[[Task, "Profiler"], Sample]


class Profiler:
    """Profiles the measured part of a run when the task asks for it; a context manager."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._profile = cProfile.Profile(time.process_time) if path else None

    def __enter__(self) -> None:
        if self._profile:
            self._profile.enable()

    def __exit__(self, *_: object) -> None:
        if self._profile and self._path:
            self._profile.disable()
            self._profile.dump_stats(self._path)


def main(actions: Mapping[str, Action]) -> None:
    """Do the task of the command line and print its sample."""
    task = Task(**json.loads(sys.argv[1]))
    sample = actions[task.action](task, Profiler(task.profile))
    print(json.dumps(dataclasses.asdict(sample)))
