"""Finishing many jobs at once. Models queries/finishing.py: `_record`, `_settle_held`.

One UPDATE writes every outcome whose lease is held; if fewer rows were changed than asked for, it
is undone and only those found to be held are written. The reply may be lost and the call repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.model.small.engine import Model, put

Fault = Literal["none", "counts what was asked", "counts again"]
JOBS = (0, 1)


class State(NamedTuple):
    """Two jobs leased under 1 by a worker that finishes both; another gets what it loses."""

    states: tuple[str, ...] = ("active", "active")
    leases: tuple[int, ...] = (1, 1)
    tally: int = 0
    calls: int = 0
    told: tuple[str, ...] = ()


def protocol(fault: Fault) -> Model[State]:
    """Return the protocol, with a fault or none."""

    def finish(state: State) -> State:
        held = [j for j in JOBS if state.states[j] == "active" and state.leases[j] == 1]
        done = [j for j in JOBS if state.states[j] == "done" and state.leases[j] == 1]
        states = tuple("done" if j in held else state.states[j] for j in JOBS)
        counted = len(held)
        if fault == "counts what was asked":
            counted = len(JOBS)
        if fault == "counts again":
            counted += len(done)
        told = tuple("done" if j in held + done else "lost" for j in JOBS)
        return state._replace(states=states, tally=state.tally + counted, told=told)

    def steps(state: State) -> Iterator[tuple[str, State]]:
        if state.calls < 3 and not state.told:
            after = finish(state)._replace(calls=state.calls + 1)
            yield f"the worker finishes both: {', '.join(after.told)}", after
            yield "the worker finishes both; the reply is lost", after._replace(told=())
        for job in JOBS:
            if state.states[job] == "active" and state.leases[job] == 1:
                waiting = put(state.states, job, "waiting")
                yield f"job {job} is taken back", state._replace(states=waiting)
            if state.states[job] == "waiting":
                active, lease = put(state.states, job, "active"), put(state.leases, job, 2)
                yield (
                    f"another worker fetches job {job}",
                    state._replace(states=active, leases=lease),
                )
            if state.states[job] == "active" and state.leases[job] == 2:
                done = put(state.states, job, "done")
                after = state._replace(states=done, tally=state.tally + 1)
                yield f"the other worker finishes job {job}", after

    def wrong(state: State) -> str | None:
        ended = state.states.count("done")
        if state.tally != ended:
            return f"{state.tally} ends are counted, {ended} jobs have ended"
        for job, told in enumerate(state.told):
            if told == "done" and (state.states[job] != "done" or state.leases[job] != 1):
                return f"the worker was told that it ended job {job}, which it did not"
        return None

    return Model(State(), steps, wrong)


SOUND = {"as it is": protocol("none")}
BROKEN = {
    "counting what was asked for": protocol("counts what was asked"),
    "counting what was done before": protocol("counts again"),
}
