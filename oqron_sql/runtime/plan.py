"""How a worker is to work."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from oqron_sql.contract import FetchOptions


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
