"""How long to wait before the next attempt."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from datetime import timedelta

from oqron_sql.contract.durations import parse_duration
from oqron_sql.contract.options import LONGEST as FURTHEST
from oqron_sql.contract.options import Backoff
from oqron_sql.errors import InvalidInput
from oqron_sql.runtime.orders import Span

logger = logging.getLogger("oqron_sql")

Strategy = Callable[[int, BaseException], Span]
"""From the number of failed attempts and the last error, how long to wait."""

LONGEST = timedelta(hours=24)
JITTER = 0.25
AT_ONCE = timedelta(0)


def delay_of(
    backoff: Backoff | None,
    failures: int,
    error: BaseException,
    strategies: Mapping[str, Strategy],
) -> timedelta:
    """Return how long a job waits that has failed so often, the last time with `error`.

    Without a backoff the next attempt follows at once. Exponential delays double each time, up to a
    day, and are spread by a quarter either way, so that jobs that failed together do not all come
    back together.
    """
    if backoff is None:
        return AT_ONCE
    if backoff.type == "exponential":
        doublings = min(failures - 1, 64)
        longest = min(backoff.delay.total_seconds() * 2**doublings, LONGEST.total_seconds())
        spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads, guards nothing
        return timedelta(seconds=longest * spread)
    if backoff.type == "custom":
        return _custom(backoff, failures, error, strategies)
    return backoff.delay


def _custom(
    backoff: Backoff, failures: int, error: BaseException, strategies: Mapping[str, Strategy]
) -> timedelta:
    """Ask the named strategy; one that is missing, or fails, must not cost the job its outcome."""
    try:
        span = parse_duration(strategies[backoff.strategy or ""](failures, error))
        if span > FURTHEST:  # which the store would refuse, and the job would fail for it
            raise InvalidInput("duration", span, "must not be longer than a century")
    except Exception:
        logger.exception(
            "the backoff strategy %r is of no use; waiting %s", backoff.strategy, backoff.delay
        )
        return backoff.delay
    return span
