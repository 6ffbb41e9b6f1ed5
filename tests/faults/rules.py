"""What was promised for a run, and what its checks have in common."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from tests.faults.history import Event

ENDS = ("completed", "failed")
ROUNDING = 0.002
"""Some databases know milliseconds, and round a lease to them."""

Lease = tuple[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What was promised for a run besides what always is."""

    ordered: bool = False  # one producer, one worker that runs one job at a time, and no faults
    group_cap: int | None = None
    max_active: int | None = None
    rate: tuple[int, timedelta] | None = None
    keyed: bool = False
    late: float | None = None
    """How many seconds a job may be late that is to be handed out again, besides its lease."""


def lease_of(event: Event) -> Lease:
    return event["job"], event["lease"]
