"""Try every order of steps, the shortest first, and tell the first that breaks a promise.

A model is a first state, the steps that can be taken from a state, and what is wrong with a state.
A step is what the database does as one: a statement, or a transaction that nobody sees half of.
What a process has read and not yet acted on is part of the state: others come in between.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)
Steps = Iterable[tuple[str, S]]


@dataclasses.dataclass(frozen=True, slots=True)
class Model(Generic[S]):
    """A protocol: `wrong` says what is wrong with a state, or None; `end` of one without steps."""

    start: S
    steps: Callable[[S], Steps[S]]
    wrong: Callable[[S], str | None]
    end: Callable[[S], str | None] = lambda _: None


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How many states there are, and the shortest way to a wrong one, if there is any."""

    states: int
    problem: str | None = None
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.problem is None:
            return f"sound in all {self.states} states"
        lines = [f"{n:3}. {step}" for n, step in enumerate(self.trace, start=1)]
        return "\n".join([*lines, f"  => {self.problem} (after {self.states} states)"])


def check(model: Model[S], most: int = 2_000_000) -> Verdict:
    """Look at every state that can be reached.

    Raises:
        RuntimeError: there are more than `most`.
    """
    before: dict[S, tuple[S, str] | None] = {model.start: None}
    ahead = deque([model.start])
    while ahead:
        state = ahead.popleft()
        nexts = list(model.steps(state))
        problem = model.wrong(state) or (None if nexts else model.end(state))
        if problem is not None:
            return Verdict(len(before), problem, tuple(_way(before, state)))
        for label, following in nexts:
            if following not in before:
                before[following] = (state, label)
                ahead.append(following)
        if len(before) > most:
            raise RuntimeError(f"more than {most} states")
    return Verdict(len(before))


def _way(before: dict[S, tuple[S, str] | None], state: S) -> list[str]:
    labels: list[str] = []
    while (origin := before[state]) is not None:
        state, label = origin
        labels.append(label)
    return labels[::-1]


def put(items: tuple[S, ...], place: int, item: S) -> tuple[S, ...]:
    """Return `items` with another one in a place."""
    return (*items[:place], item, *items[place + 1 :])
