"""Walks of steps that chance chooses by a seed, and the smallest one that shows a difference.

What a walk did is a list of steps with the choices of each. Taken again, it does the same, and so
does a part of it, or one with simpler choices: these are tried until none shows the difference.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any

from tests.model.choosing import again, by_chance
from tests.model.twins import Steps, TooSlow

Taken = tuple[str, list[int]]
Opening = Callable[[], contextlib.AbstractContextManager[Steps[Any]]]
MOST_TRIES = 1500
LOOK = "look"  # at everything, at the end


class Differs(Exception):
    """What the two answer differs: where, and the smallest walk that is known to show it."""


def walk(opening: Opening, seed: int, length: int) -> int:
    """Take `length` steps, and look at everything; return how many calls were compared.

    Raises:
        Differs: the two do not answer alike.
    """
    chance = random.Random(seed)
    taken: list[Taken] = []
    with opening() as steps:
        every = steps.weights()
        wanted = {name: n for name, n in every.items() if chance.random() < 0.7} or every
        names, weights = [*wanted], [*wanted.values()]  # others each time
        try:
            for _ in range(length):
                some = steps.given(by_chance(chance.getrandbits(64)))
                (name,) = chance.choices(names, weights)
                taken.append((name, some.made))
                getattr(steps, name)(some)
            count = steps.count
            taken.append((LOOK, []))
            steps.look()
        except TooSlow:
            return steps.count
        except Exception as error:  # noqa: BLE001 - whatever it is, it is explained
            found = error
        else:
            return count
    raise _explained(opening, taken, found, f"seed {seed}") from found


def take(opening: Opening, taken: Sequence[Taken]) -> tuple[Exception | None, list[str]]:
    """Take steps again; return what goes wrong, and the calls."""
    with opening() as steps:
        told = steps.twins.told = []
        try:
            for name, choices in taken:
                if name == LOOK:
                    steps.look()
                else:
                    getattr(steps, name)(steps.given(again(choices)))
        except TooSlow:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is explained
            return error, told
    return None, told


def smallest(taken: list[Taken], fails: Callable[[list[Taken]], bool]) -> list[Taken]:
    """Return the smallest walk that `fails`: no step of it, and no choice, can be left out."""
    tries = 0

    def better(candidate: list[Taken]) -> bool:
        nonlocal tries
        tries += 1
        return tries <= MOST_TRIES and fails(candidate)

    size = len(taken) // 2
    while size:
        before = len(taken)
        for start in range(len(taken) - size, -size, -size):
            candidate = taken[: max(start, 0)] + taken[start + size :]
            if better(candidate):
                taken = candidate
        if size > 1 or len(taken) == before:
            size //= 2
    for place, (name, choices) in enumerate(taken):
        left = choices
        for index in reversed(range(-1, len(choices))):  # at last none of them
            simpler = [*left[:index], 0, *left[index + 1 :]] if index >= 0 else []
            candidate = [*taken[:place], (name, simpler), *taken[place + 1 :]]
            if simpler != left and better(candidate):
                taken, left = candidate, simpler
    return taken


def _explained(opening: Opening, taken: list[Taken], found: Exception, where: str) -> Differs:
    """Return the difference with the smallest walk that shows it."""
    kind = _kind(found)
    few = smallest(taken, lambda tried: _kind(take(opening, tried)[0]) == kind)
    error, told = take(opening, few)
    return Differs("\n".join([f"{where}: {error or found!r}", *told]))


def _kind(error: Exception | None) -> tuple[type, str]:
    return type(error), str(error).partition(":")[0]
