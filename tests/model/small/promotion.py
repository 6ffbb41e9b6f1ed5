"""Delayed jobs that fall due. Models queries/delaying.py: `_promote`.

Every worker promotes. The jobs that are due are locked as they are read, so that to read and to
promote them is one step; if it is two, others promote, run, end, retry or put off the job between.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.model.small.engine import Model, put

Guard = Literal["one step", "due", "state", "id"]
MOST = 3


class State(NamedTuple):
    """`read` says which promoters have read that the job is due; `runs` and `puts` are counted."""

    job: str = "delayed"
    due: bool = False
    read: tuple[bool, ...] = (False, False)
    runs: int = 0
    puts: int = 0
    trouble: str = ""


def protocol(guard: Guard, puts: int = MOST) -> Model[State]:
    """Return the protocol in which the job is promoted if it is still so, put off so often."""

    def accepts(state: State) -> bool:
        if guard == "id":
            return state.job != "gone"
        return state.job == "delayed" and (guard == "state" or state.due)

    def promoted(state: State) -> State:
        trouble = f"it was {state.job}" if state.job in ("active", "completed") else ""
        if state.job == "delayed" and not state.due:
            trouble = "it is not due"
        return state._replace(job="waiting", due=False, trouble=trouble)

    def steps(state: State) -> Iterator[tuple[str, State]]:
        is_due = state.job == "delayed" and state.due
        for me, read in enumerate(state.read):
            forgot = state._replace(read=put(state.read, me, item=False))
            if guard == "one step":
                if is_due:
                    yield f"promoter {me} promotes what is due", promoted(state)
            elif read:
                after = promoted(forgot) if accepts(state) else forgot
                yield f"promoter {me} promotes what it read", after
                yield f"promoter {me} is killed", forgot
            elif is_due:
                seen = put(state.read, me, item=True)
                yield f"promoter {me} reads that the job is due", state._replace(read=seen)
        if state.job == "delayed" and not state.due:
            yield "the job falls due", state._replace(due=True)
        if state.job == "delayed" and state.puts < puts:
            yield "somebody puts it off", state._replace(due=False, puts=state.puts + 1)
        if state.job == "waiting" and state.runs < MOST:
            yield "a worker fetches it", state._replace(job="active", runs=state.runs + 1)
        if state.job == "active":
            yield "the worker completes it", state._replace(job="completed")
            yield "the worker retries it later", state._replace(job="delayed", due=False)
        if state.job == "completed":
            yield "somebody removes it", state._replace(job="gone")

    def wrong(state: State) -> str | None:
        return f"the job waits, and {state.trouble}" if state.trouble else None

    def end(state: State) -> str | None:
        return "nobody promotes it" if state.job == "delayed" else None

    return Model(State(), steps, wrong, end)


SOUND = {"in one step": protocol("one step"), "asked again": protocol("due")}
BROKEN = {"by its id": protocol("id", puts=0), "by its state": protocol("state")}
