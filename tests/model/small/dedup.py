"""One live job per key. Models queries/saving.py: `_save`, and how an end frees the key.

A key sits in a unique column while its job lives. Saving inserts, or finds the job in the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.model.small.engine import Model, put

Fault = Literal["none", "looks first", "frees later"]
SAVERS = (0, 1, 2)


class State(NamedTuple):
    """`jobs` are those saved, by whom; `slot` is who holds the key; `looked` has found it free."""

    jobs: tuple[str, ...] = ("", "", "")
    slot: int | None = None
    looked: tuple[bool, ...] = (False, False, False)
    answered: tuple[bool, ...] = (False, False, False)
    to_free: bool = False


def protocol(fault: Fault) -> Model[State]:
    """Return the protocol, with a fault or none."""

    def insert(state: State, me: int) -> State:
        return state._replace(
            jobs=put(state.jobs, me, "live"), slot=me, answered=put(state.answered, me, item=True)
        )

    def steps(state: State) -> Iterator[tuple[str, State]]:
        for me in SAVERS:
            if state.answered[me]:
                continue
            if fault == "looks first" and state.looked[me]:
                yield f"saver {me} inserts its job", insert(state, me)
            elif state.slot is not None:
                after = state._replace(answered=put(state.answered, me, item=True))
                yield f"saver {me} is given job {state.slot}", after
            elif fault == "looks first":
                after = state._replace(looked=put(state.looked, me, item=True))
                yield f"saver {me} finds no job of that key", after
            else:
                yield f"saver {me} inserts its job", insert(state, me)
        for job in SAVERS:
            if state.jobs[job] == "live":
                ended = state._replace(jobs=put(state.jobs, job, "ended"))
                if fault == "frees later":
                    yield f"job {job} ends", ended._replace(to_free=True)
                else:
                    slot = None if state.slot == job else state.slot
                    yield f"job {job} ends and frees the key", ended._replace(slot=slot)
        if state.to_free:
            yield "the worker frees the key", state._replace(to_free=False, slot=None)
            yield "the worker is killed", state._replace(to_free=False)

    def wrong(state: State) -> str | None:
        live = state.jobs.count("live")
        if live > 1:
            return f"{live} jobs of one key live"
        if state.slot is not None and state.jobs[state.slot] == "ended" and not state.to_free:
            return "the key is held by a job that has ended, and nobody will free it"
        return None

    return Model(State(), steps, wrong)


SOUND = {"as it is": protocol("none")}
BROKEN = {"looking first": protocol("looks first"), "freeing later": protocol("frees later")}
