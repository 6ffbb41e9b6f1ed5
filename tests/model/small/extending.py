"""Extending a lease. Models queries/leases.py: `extend_locks`, and the heartbeat that calls it.

A call counts from when the server began with it. It may have to wait, for the row of another job,
and the worker may give it up meanwhile and make another: then the first is carried out last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.small.engine import Model

SPAN, LAST = 3, 6


class State(NamedTuple):
    """`begun` says when each call that is under way began; `told` is what the last one answered."""

    now: int = 0
    until: int = SPAN
    told: int = SPAN
    begun: tuple[int, ...] = ()
    awaited: int | None = None
    """Of the calls, the one that was not given up."""


def protocol(*, never_sooner: bool) -> Model[State]:
    """Return the protocol in which an extension may end a lease sooner, or never does."""

    def steps(state: State) -> Iterator[tuple[str, State]]:
        if state.now < LAST:
            yield f"it is {state.now + 1}", state._replace(now=state.now + 1)
        if state.awaited is None and state.now < state.told and state.now not in state.begun:
            calls = (*state.begun, state.now)
            yield (
                f"the worker asks for {SPAN} more, at {state.now}",
                state._replace(begun=calls, awaited=state.now),
            )
        if state.awaited is not None:
            yield f"it gives up the call of {state.awaited}", state._replace(awaited=None)
        for call in state.begun:
            until = max(state.until, call + SPAN) if never_sooner else call + SPAN
            left = tuple(each for each in state.begun if each != call)
            after = state._replace(until=until, begun=left)
            if call == state.awaited:
                after = after._replace(told=until, awaited=None)
            yield f"the call of {call} is carried out: the lease ends at {until}", after

    def wrong(state: State) -> str | None:
        if state.until < state.told:
            return f"the worker was told {state.told}, and the lease ends at {state.until}"
        return None

    return Model(State(), steps, wrong)


SOUND = {"never sooner": protocol(never_sooner=True)}
BROKEN = {"as the call says": protocol(never_sooner=False)}
