"""A difference is found, and told by the fewest calls that show it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial

import pytest

from oqron_sql import MemoryStore
from oqron_sql.contract import Clock, Job
from tests.model.store_steps import StoreSteps
from tests.model.twins import Twins
from tests.model.walking import Differs, Opening, smallest, walk


class Forgetful(MemoryStore):
    """Forgets a job of its own accord: one that is saved while three others are there."""

    def save_job(self, queue: str, job: Job) -> str:
        saved = super().save_job(queue, job)
        if sum(self.get_job_counts(queue).values()) > 3:
            self.remove_job(queue, job.id)
        return saved


@contextlib.contextmanager
def opening(loop: asyncio.Runner) -> Iterator[StoreSteps]:
    clock = Clock()
    yield StoreSteps(Twins(MemoryStore(clock=clock), Forgetful(clock=clock), clock, loop))


def difference() -> list[str]:
    with asyncio.Runner() as loop, pytest.raises(Differs) as caught:
        walk_on(partial(opening, loop))
    return str(caught.value).splitlines()


def walk_on(opening: Opening) -> None:
    for seed in range(100):
        walk(opening, seed, 150)


def test_the_fewest_calls_are_told() -> None:
    first, *calls = difference()
    assert first.startswith("seed ")
    assert "in memory, and" in first
    saves = [call for call in calls if "save_" in call]
    assert len(calls) - len(saves) <= 1  # it is looked at once
    assert len(saves) <= 4


def test_a_walk_is_the_same_again() -> None:
    assert difference() == difference()


def test_what_can_be_left_out_is_left_out() -> None:
    taken: list[tuple[str, list[int]]] = [("a", [n, n]) for n in range(50)]

    def fails(tried: list[tuple[str, list[int]]]) -> bool:
        return sum(choices[0] > 20 for _, choices in tried if choices) >= 3

    few = smallest(taken, fails)
    assert len(few) == 3
    assert all(choices[1:] in ([0], []) for _, choices in few)
