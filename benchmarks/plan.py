"""What a question is made of: runs that are measured, and pairs of runs that are compared."""

from __future__ import annotations

import dataclasses
from typing import Literal

Family = Literal["postgresql", "mariadb", "sqlite", "redis"]


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One thing to measure: an `action` of a `side`, on a database that nobody used before.

    `driver` is the SQLAlchemy driver name, also for a side that connects without SQLAlchemy.
    """

    label: str
    side: str
    action: str
    driver: str
    jobs: int
    batch: int = 0
    in_flight: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """That `run` should reach `target` times the rate of `peer`; without one, it is only told."""

    run: str
    peer: str
    target: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Bound:
    """That a figure of `run` should be at most `most`."""

    run: str
    figure: str
    most: float


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """One question to the stopwatch; in every round each run is made once, in this order."""

    name: str
    title: str
    family: Family
    runs: tuple[Run, ...]
    comparisons: tuple[Comparison, ...] = ()
    bounds: tuple[Bound, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """What the process that makes one run is told."""

    action: str
    url: str
    jobs: int
    batch: int
    in_flight: int
    server_pid: int | None = None
    profile: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What one run came to.

    `seconds` is the measured window. Of a drain it runs from the start of the first handler to the
    start of the last; `settled_seconds` to the moment the last finish was on disk. Processor times
    cover the whole of the work, `other_cores` is what everybody else used meanwhile. `figures` are
    what else a run was made for, by names that say the unit.
    """

    jobs: int
    seconds: float
    client_cpu: float
    server_cpu: float | None
    other_cores: float
    settled_seconds: float | None = None
    figures: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Jobs per second."""
        return self.jobs / self.seconds
