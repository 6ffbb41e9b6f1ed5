"""No group has more active jobs than its cap. Models queries/groups.py: `claim_by_turn`.

A claim locks the group's row, and only then, in a new statement, counts its active jobs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.model.small.engine import Model, put

Order = Literal["lock, count", "count, lock", "no lock"]
CAP = 1
CLAIMERS = (0, 1, 2)


class State(NamedTuple):
    """Each claimer is to count ("") or has counted so many (a number) or is done ("done")."""

    waiting: int = 3
    active: int = 0
    locked_by: int | None = None
    counted: tuple[str, ...] = ("", "", "")


def protocol(order: Order) -> Model[State]:
    """Return the protocol that locks and counts in that order."""

    def steps(state: State) -> Iterator[tuple[str, State]]:
        for me in CLAIMERS:
            counted, mine = state.counted[me], state.locked_by == me
            may_count = mine if order == "lock, count" else True
            may_lock = counted == "" if order == "lock, count" else counted.isdigit()
            if order != "no lock" and may_lock and state.locked_by is None:
                yield f"claimer {me} locks the group", state._replace(locked_by=me)
            if counted == "" and may_count:
                seen = put(state.counted, me, str(state.active))
                yield f"claimer {me} counts {state.active} active", state._replace(counted=seen)
            if counted.isdigit() and (mine or order == "no lock"):
                room = int(counted) < CAP and state.waiting > 0
                unlocked = None if mine else state.locked_by
                after = state._replace(
                    waiting=state.waiting - room,
                    active=state.active + room,
                    counted=put(state.counted, me, "done"),
                    locked_by=unlocked,
                )
                yield f"claimer {me} takes {'one' if room else 'none'} and commits", after
            if mine:
                killed = put(state.counted, me, "done")
                after = state._replace(counted=killed, locked_by=None)
                yield f"claimer {me} is killed, which lets go of the lock", after
        if state.active:
            yield "a job ends", state._replace(active=state.active - 1)

    def wrong(state: State) -> str | None:
        return f"{state.active} are active, {CAP} may be" if state.active > CAP else None

    def end(state: State) -> str | None:
        return "the group stays locked" if state.locked_by is not None else None

    return Model(State(), steps, wrong, end)


SOUND = {"locking first": protocol("lock, count")}
BROKEN = {"counting first": protocol("count, lock"), "without a lock": protocol("no lock")}
