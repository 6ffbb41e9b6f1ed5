"""A lock that runs out, with fencing numbers. Models queries/locks.py and what it guards.

An owner may be suspended after it took the lock, and write when the lock has passed to another. The
number rises each time the lock is taken anew; what is guarded refuses numbers lower than it saw.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.model.small.engine import Model, put

Fault = Literal["none", "not looked at", "kept by the owner"]
OWNERS = ("A", "A", "B")  # two threads of one owner, and another
MOST = 4


class State(NamedTuple):
    """`held` has what each thread was given: the number and when; `writes` is the newest `when`."""

    owner: str = ""
    number: int = 0
    grant: int = 0
    expired: bool = True
    held: tuple[tuple[int, int] | None, ...] = (None, None, None)
    seen: int = 0
    newest: int = 0
    stale: int = 0


def protocol(fault: Fault) -> Model[State]:
    """Return the protocol, with a fault or none."""

    def steps(state: State) -> Iterator[tuple[str, State]]:
        if not state.expired:
            yield "the lock runs out", state._replace(expired=True)
        for me, owner in enumerate(OWNERS):
            who = f"thread {me} of {owner}"
            if state.expired and state.grant < MOST and state.held[me] is None:
                again = fault == "kept by the owner" and owner == state.owner
                number = state.number if again else state.number + 1
                grant = state.grant + 1
                held = put(state.held, me, (number, grant))
                after = state._replace(
                    owner=owner, number=number, grant=grant, expired=False, held=held
                )
                yield f"{who} takes the lock: number {number}", after
            mine = state.held[me]
            if mine is not None:
                number, grant = mine
                done = state._replace(held=put(state.held, me, None))
                if fault != "not looked at" and number < state.seen:
                    yield f"{who} is refused: {number} is lower than {state.seen}", done
                else:
                    stale = grant if grant < state.newest else 0
                    newest, seen = max(grant, state.newest), max(number, state.seen)
                    after = done._replace(newest=newest, seen=seen, stale=stale)
                    yield f"{who} writes under number {number}", after

    def wrong(state: State) -> str | None:
        if state.stale:
            return f"a write of grant {state.stale} came after one of grant {state.newest}"
        return None

    return Model(State(), steps, wrong)


SOUND = {"rising numbers": protocol("none")}
BROKEN = {
    "numbers that nobody looks at": protocol("not looked at"),
    "a number that an owner keeps": protocol("kept by the owner"),
}
