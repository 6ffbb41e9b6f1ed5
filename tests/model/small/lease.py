"""Leases from fetch to finish. Models queries/fetch.py, leases.py and finishing.py.

A worker may be suspended past its lease and go on; one with the same name may have been started
again meanwhile. Only the holder of the newest lease may finish the job.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.model.small.engine import Model, put

Guard = Literal["lease", "owner", "state"]
NAMES = ("A", "A", "B")  # of the processes: the second is the first, started again
MOST = 3


class State(NamedTuple):
    """`held` is the lease that each process believes to have."""

    job: str = "waiting"
    lease: int = 0
    owner: str = ""
    expired: bool = False
    held: tuple[int, ...] = (0, 0, 0)
    stale: str = ""


def protocol(guard: Guard) -> Model[State]:
    """Return the protocol in which a finish is accepted by that guard."""

    def accepts(state: State, process: int) -> bool:
        if state.job != "active":
            return False
        if guard == "lease":
            return state.lease == state.held[process]
        return guard == "state" or state.owner == NAMES[process]

    def steps(state: State) -> Iterator[tuple[str, State]]:
        for process, name in enumerate(NAMES):
            who = f"process {process} ({name})"
            if state.job == "waiting" and state.lease < MOST:
                lease = state.lease + 1
                held = put(state.held, process, lease)
                yield (
                    f"{who} fetches: lease {lease}",
                    State("active", lease, name, False, held),  # noqa: FBT003
                )
            if state.held[process]:
                old, given_up = state.held[process], put(state.held, process, 0)
                if accepts(state, process):
                    stale = "" if old == state.lease else f"a finish under lease {old}"
                    after = state._replace(job="done", held=given_up, stale=stale)
                    yield f"{who} finishes under lease {old}: accepted", after
                else:
                    yield f"{who} is told that lease {old} is lost", state._replace(held=given_up)
        if state.job == "active" and not state.expired:
            yield "the lock runs out", state._replace(expired=True)
        if state.job == "active" and state.expired:
            yield "somebody takes the job back", state._replace(job="waiting", expired=False)

    def wrong(state: State) -> str | None:
        if state.stale:
            return f"{state.stale} was accepted; the newest is {state.lease}"
        return None

    return Model(State(), steps, wrong)


SOUND = {"by the number of the lease": protocol("lease")}
BROKEN = {"by the name of the owner": protocol("owner"), "by the state": protocol("state")}
