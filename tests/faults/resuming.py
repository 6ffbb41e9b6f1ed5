"""How soon everybody is at work again once there is a new primary, or nodes have met again."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.faults.history import History
from tests.faults.rules import Rules

WITHIN = 10.0
"""How many seconds a process may take until it is handed a job again."""


def waits(h: History) -> Iterator[tuple[str, float, bool]]:
    """Go through the workers that were there at each promotion, and how long each had to wait.

    Whether that wait was over: for it was ended by a job, and not by the next promotion, the end of
    the process, or that of the run.
    """
    promotions = [event.at for event in h.of("promoted")]
    if not promotions:
        return
    at_work: dict[str, list[float]] = defaultdict(list)
    for event in h.of("claimed"):
        at_work[event.process].append(event.at)
    gone = {event["name"]: event.at for event in h.of("gone")}
    # From then on there may be nothing to claim any more.
    ends = max((event.at for event in h.of("enqueued")), default=promotions[-1])
    for promoted, beyond in pairwise([*promotions, max(ends, promotions[-1])]):
        for process, claims in at_work.items():
            n = bisect(claims, promoted)
            until = min(beyond, gone.get(process, beyond))
            if n == 0 or until <= promoted:  # it came later, or was gone
                continue
            over = n < len(claims) and claims[n] < until
            yield process, (claims[n] if over else until) - promoted, over


def slowest(h: History) -> float | None:
    """Return the longest wait that was over; None if there was nothing to wait for."""
    return max((seconds for _, seconds, over in waits(h) if over), default=None)


def idle(h: History, rules: Rules) -> Iterator[str]:
    """Whoever works goes on soon after a promotion."""
    for process, seconds, _ in waits(h):
        if seconds > WITHIN:
            yield f"{process} was handed nothing for {seconds:.1f} s after a promotion"
