"""Waiting for an id: the steps, whoever takes them."""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import timedelta
from typing import Any, Literal

from oqron_sql.contract.adapters import Claim

Steps = Generator[Literal["claim", "look"] | float, Any, Claim | None]

# Something waits and could not be had: most likely somebody else is about to have it.
RIVALRY = timedelta(milliseconds=20)


def waiting(timeout: timedelta, look_every: timedelta) -> Steps:
    """Yield what to do next: claim, look, or wait for a hint for so many seconds.

    The claims and the look are sent back. A look is one statement that changes nothing, and all
    there is to do while nothing happens.
    """
    until = time.monotonic() + timeout.total_seconds()
    trying = True
    while True:
        if trying:
            claims: list[Claim] = yield "claim"
            if claims:
                return claims[0]
        left = until - time.monotonic()
        if left <= 0:
            return None
        seen = yield "look"
        if seen.ready and not trying:
            trying = True
            continue
        rest = RIVALRY if seen.ready else min(look_every, seen.rest or look_every)
        trying = seen.ready
        yield min(left, rest.total_seconds())
