"""Extending a lease. Models queries/leases.py: `extend_locks`, and the heartbeat that calls it.

A call counts from when the server began with it. It may come late, and the worker may give it up
meanwhile and make another: then the first is carried out last. Another transaction may hold the
job's row: then the call passes it over, and says so.
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
    held: bool = False


def protocol(*, never_sooner: bool, heeds_skipped: bool) -> Model[State]:
    """Return the protocol in which an extension may end a lease sooner, or never does.

    The worker heeds that a lease was passed over, or takes whatever is not lost for extended.
    """

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
        yield (
            f"a host {'lets go of' if state.held else 'holds'} the row",
            state._replace(held=not state.held),
        )
        for call in state.begun:
            left = tuple(each for each in state.begun if each != call)
            if state.held:
                after = state._replace(begun=left)
                if call == state.awaited:
                    told = state.told if heeds_skipped else call + SPAN
                    after = after._replace(told=told, awaited=None)
                yield f"the call of {call} passes over the row", after
                continue
            until = max(state.until, call + SPAN) if never_sooner else call + SPAN
            after = state._replace(until=until, begun=left)
            if call == state.awaited:
                after = after._replace(told=until, awaited=None)
            yield f"the call of {call} is carried out: the lease ends at {until}", after

    def wrong(state: State) -> str | None:
        if state.until < state.told:
            return f"the worker was told {state.told}, and the lease ends at {state.until}"
        return None

    return Model(State(), steps, wrong)


SOUND = {"never sooner": protocol(never_sooner=True, heeds_skipped=True)}
BROKEN = {
    "as the call says": protocol(never_sooner=False, heeds_skipped=True),
    "skipped is extended": protocol(never_sooner=True, heeds_skipped=False),
}
