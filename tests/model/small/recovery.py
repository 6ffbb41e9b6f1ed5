"""Taking back lost jobs. Models queries/leases.py: `recover_lost`, where rows cannot be locked.

Whoever sweeps reads the jobs whose lock ran out, and changes each in a second statement. Meanwhile
another may have taken it back and a worker may have it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.small.engine import Model, put

MOST = 3


class State(NamedTuple):
    """`seen` is the lease that each sweeper has read as run out."""

    job: str = "active"
    lease: int = 1
    expired: bool = False
    seen: tuple[int, ...] = (0, 0)
    robbed: int = 0


def protocol(*, guarded: bool) -> Model[State]:
    """Return the protocol whose second statement asks for lease and lock again, or does not."""

    def steps(state: State) -> Iterator[tuple[str, State]]:
        if state.job == "active" and not state.expired:
            yield f"the lock of lease {state.lease} runs out", state._replace(expired=True)
            yield "the worker finishes", state._replace(job="done")
        if state.job == "active" and state.expired:
            yield "the worker, late, extends its lease", state._replace(expired=False)
        if state.job == "waiting" and state.lease < MOST:
            after = state._replace(job="active", lease=state.lease + 1, expired=False)
            yield f"a worker fetches: lease {after.lease}", after
        for sweeper, seen in enumerate(state.seen):
            if not seen and state.job == "active" and state.expired:
                after = state._replace(seen=put(state.seen, sweeper, state.lease))
                yield f"sweeper {sweeper} sees that lease {state.lease} ran out", after
            if seen:
                forgot = state._replace(seen=put(state.seen, sweeper, 0))
                same = state.job == "active" and state.lease == seen and state.expired
                if same or (not guarded and state.job == "active"):
                    robbed = 0 if state.expired else state.lease
                    after = forgot._replace(job="waiting", expired=False, robbed=robbed)
                    yield f"sweeper {sweeper} takes the job back", after
                else:
                    yield f"sweeper {sweeper} finds it changed", forgot

    def wrong(state: State) -> str | None:
        return f"lease {state.robbed} was valid and was taken away" if state.robbed else None

    return Model(State(), steps, wrong)


SOUND = {"asking again": protocol(guarded=True)}
BROKEN = {"by the state alone": protocol(guarded=False)}
