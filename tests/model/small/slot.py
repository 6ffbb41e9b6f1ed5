"""One job per slot of a schedule, whoever makes it. Models contract/schedules.py.

Every scheduler reads which slot is next; making its job and moving the series on are one
transaction, guarded by the slot that was read. A scheduler may be killed between any two steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.model.small.engine import Model, put

Fault = Literal["none", "does not ask again", "moves on first"]
SLOTS = 3


class State(NamedTuple):
    """`jobs` counts those of each slot; each scheduler has read a slot, or None; `moved` it."""

    next: int = 0
    jobs: tuple[int, ...] = (0,) * SLOTS
    read: tuple[int | None, ...] = (None, None)
    moved: tuple[bool, ...] = (False, False)
    kills: int = 2


def protocol(fault: Fault) -> Model[State]:
    """Return the protocol, with a fault or none."""

    def made(state: State, slot: int) -> tuple[int, ...]:
        return put(state.jobs, slot, state.jobs[slot] + 1)

    def steps(state: State) -> Iterator[tuple[str, State]]:
        for me, slot in enumerate(state.read):
            forgot = state._replace(
                read=put(state.read, me, None), moved=put(state.moved, me, item=False)
            )
            if slot is None:
                if state.next < SLOTS:
                    seen = put(state.read, me, state.next)
                    yield f"scheduler {me} reads slot {state.next}", state._replace(read=seen)
                continue
            if state.kills:
                yield f"scheduler {me} is killed", forgot._replace(kills=state.kills - 1)
            if state.moved[me]:
                yield (
                    f"scheduler {me} makes the job of {slot}",
                    forgot._replace(jobs=made(state, slot)),
                )
            elif state.next != slot and fault != "does not ask again":
                yield f"scheduler {me} finds slot {slot} gone", forgot
            elif fault == "moves on first":
                after = state._replace(next=slot + 1, moved=put(state.moved, me, item=True))
                yield f"scheduler {me} moves on to {slot + 1}", after
            else:
                after = forgot._replace(jobs=made(state, slot), next=max(state.next, slot + 1))
                yield f"scheduler {me} makes the job of {slot} and moves on", after

    def wrong(state: State) -> str | None:
        for slot, jobs in enumerate(state.jobs):
            if jobs > 1:
                return f"slot {slot} has {jobs} jobs"
        return None

    def end(state: State) -> str | None:
        missing = [slot for slot, jobs in enumerate(state.jobs) if not jobs]
        return f"slots {missing} have no job" if missing else None

    return Model(State(), steps, wrong, end)


SOUND = {"guarded by the slot": protocol("none")}
BROKEN = {"unguarded": protocol("does not ask again"), "in two steps": protocol("moves on first")}
