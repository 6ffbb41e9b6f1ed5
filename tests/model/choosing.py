"""Where what a step does is chosen: one number after another, so that a walk can be had again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Answers which of so many it shall be; the first is always the simplest."""

    def __init__(self, below: Callable[[int], int]) -> None:
        self._below = below
        self.made: list[int] = []
        self._is_refused = False

    def below(self, n: int) -> int:
        """Return a number from 0 to `n - 1`."""
        self.made.append(self._below(n))
        return self.made[-1]

    def one(self, of: Sequence[T]) -> T:
        """Return one of several."""
        return of[self.below(len(of))]

    def usually(self, value: T, otherwise: Callable[[], T], of: int = 8) -> T:
        """Return `value`, but once in so many what `otherwise` gives."""
        return value if self.below(of) < of - 1 else otherwise()

    def seldom(self, right: T, wrong: Sequence[T], of: int = 40) -> T:
        """Return `right`, but once in so many what is refused; once a step: which wins is free."""
        if self.below(of) < of - 1 or self._is_refused:
            return right
        self._is_refused = True
        return self.one(wrong)

    def maybe(self, make: Callable[[], T]) -> T | None:
        """Return None, more often than not, or what `make` gives."""
        return None if self.below(3) < 2 else make()

    def several(self, make: Callable[[], T], most: int, least: int = 0) -> list[T]:
        """Return a list of what `make` gives."""
        return [make() for _ in range(least + self.below(most - least + 1))]


def by_chance(seed: int) -> Callable[[int], int]:
    """Return a source of choices, the same ones for the same seed."""
    return random.Random(seed).randrange


def again(choices: Iterable[int]) -> Callable[[int], int]:
    """Return a source of choices that were made before; what is missing is the simplest."""
    left = iter(choices)
    return lambda n: next(left, 0) % n
