"""Many start at once on an empty database. Models schema/migrating.py.

Whoever finds the tables at head goes on without the lock. The others take it, look again, and
make each step. One that is killed lets go of the lock; a step may then be taken again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.model.small.engine import Model, put

Fault = Literal["none", "no lock", "looks once"]
HEAD = 2
STARTERS = (0, 1, 2)


class State(NamedTuple):
    """A starter is new, waits, has seen a revision (a number), or is up; `made` has the steps."""

    revision: int = 0
    made: tuple[int, ...] = (0,) * HEAD
    at: tuple[str, ...] = ("new", "new", "new")
    locked_by: int | None = None
    kills: int = 1


def protocol(fault: Fault) -> Model[State]:
    """Return the protocol, with a fault or none."""

    def steps(state: State) -> Iterator[tuple[str, State]]:
        for me in STARTERS:
            at = state.at[me]
            mine = state.locked_by == me
            unlocked = None if mine else state.locked_by
            seen = state._replace(at=put(state.at, me, str(state.revision)))
            up = state._replace(at=put(state.at, me, "up"), locked_by=unlocked)
            if at == "new" and state.revision == HEAD:
                yield f"starter {me} finds the tables at head", up
            elif at == "new" and fault == "none":
                yield f"starter {me} has to migrate", state._replace(at=put(state.at, me, "waits"))
            elif at == "new":
                yield f"starter {me} finds revision {state.revision}", seen
            if state.locked_by is None and fault != "no lock" and (at == "waits" or at.isdigit()):
                held = seen if fault == "none" else state
                yield f"starter {me} has the lock", held._replace(locked_by=me)
            if at.isdigit() and (mine or fault == "no lock"):
                step = int(at)
                if step == HEAD:
                    yield f"starter {me} is up", up
                    continue
                made = put(state.made, step, state.made[step] + 1)
                after = state._replace(
                    made=made,
                    revision=max(state.revision, step + 1),
                    at=put(state.at, me, str(step + 1)),
                )
                yield f"starter {me} makes revision {step + 1}", after
                if state.kills and mine:
                    dead = state._replace(at=put(state.at, me, "new"), locked_by=None, kills=0)
                    yield f"starter {me} is killed in revision {step + 1}, and started again", dead

    def wrong(state: State) -> str | None:
        for step, times in enumerate(state.made):
            if times > 1:
                return f"revision {step + 1} was made {times} times"
        return None

    def end(state: State) -> str | None:
        return None if set(state.at) == {"up"} else f"not all are up: {state.at}"

    return Model(State(), steps, wrong, end)


SOUND = {"looking again under the lock": protocol("none")}
BROKEN = {"without a lock": protocol("no lock"), "looking before the lock": protocol("looks once")}
