"""How a worker is to work."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from oqron_sql.contract import FetchOptions
from oqron_sql.contract.checks import check_duration
from oqron_sql.errors import InvalidInput

LEAST_LEASE = timedelta(milliseconds=300)
"""Which leaves the heartbeat a tenth of a second for the round trip that extends it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a worker is to work."""

    queue: str
    worker_id: str
    concurrency: int
    lease: timedelta
    limits: FetchOptions
    prefetch: int
    poll: timedelta
    max_lost: int
    schedules: bool


def check_lease(field: str, lease: timedelta) -> timedelta:
    """Return `lease` if a worker can keep it.

    Raises:
        InvalidInput: it is too short, or no span of time.
    """
    if check_duration(field, lease, positive=True) < LEAST_LEASE:
        least = f"{LEAST_LEASE.total_seconds():g} s"
        raise InvalidInput(field, lease, f"must be at least {least}, as no shorter one can be kept")
    return lease
