"""A difference is found, and told by the fewest calls that show it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from oqron_sql import MemoryStore
from oqron_sql.contract import Clock, Job
from oqron_sql.memory import MemoryBroker, MemoryLock, MemoryStorage
from tests.model.broker_steps import BrokerSteps
from tests.model.lock_steps import LockSteps
from tests.model.storage_steps import StorageSteps
from tests.model.store_steps import StoreSteps
from tests.model.twins import Steps, Twins
from tests.model.walking import Differs, Opening, smallest, walk


class Forgetful(MemoryStore):
    """Forgets a job of its own accord: one that is saved while three others are there."""

    def save_job(self, queue: str, job: Job) -> str:
        saved = super().save_job(queue, job)
        if sum(self.get_job_counts(queue).values()) > 3:
            self.remove_job(queue, job.id)
        return saved


class Levelling(MemoryBroker):
    """Hands ids back without their priority."""

    def nack(
        self, broker: str, id: str, delay: timedelta = timedelta(0), priority: int | None = None
    ) -> bool:
        return super().nack(broker, id, delay, priority or 0)


class Eager(MemoryStorage):
    """Prunes what is exactly so old, too."""

    def prune(self, namespace: str, before: datetime) -> int:
        return super().prune(namespace, before + timedelta(microseconds=1))


class Reviving(MemoryLock):
    """Renews a lock that is over."""

    def renew(self, key: str, owner: str, ttl: timedelta) -> bool:
        return super().renew(key, owner, ttl) or self.acquire(key, owner, ttl) is not None


BROKEN: dict[str, tuple[type[Steps[Any]], Any, Any, int]] = {
    "store": (StoreSteps, MemoryStore, Forgetful, 4),
    "broker": (BrokerSteps, MemoryBroker, Levelling, 6),
    "storage": (StorageSteps, MemoryStorage, Eager, 2),
    "lock": (LockSteps, MemoryLock, Reviving, 1),
}


@contextlib.contextmanager
def opening(what: str, loop: asyncio.Runner) -> Iterator[Steps[Any]]:
    steps, reference, broken, _ = BROKEN[what]
    clock = Clock()
    yield steps(Twins(reference(clock=clock), broken(clock=clock), clock, loop))


def difference(what: str) -> list[str]:
    with asyncio.Runner() as loop, pytest.raises(Differs) as caught:
        walk_on(partial(opening, what, loop))
    return str(caught.value).splitlines()


def walk_on(opening: Opening) -> None:
    for seed in range(100):
        walk(opening, seed, 150)


@pytest.mark.parametrize("what", BROKEN)
def test_the_fewest_calls_are_told(what: str) -> None:
    first, *calls = difference(what)
    assert first.startswith("seed ")
    assert "in memory, and" in first
    assert len(calls) <= BROKEN[what][-1] + 1, calls  # and one that looks


def test_a_walk_is_the_same_again() -> None:
    assert difference("lock") == difference("lock")


def test_what_can_be_left_out_is_left_out() -> None:
    taken: list[tuple[str, list[int]]] = [("a", [n, n]) for n in range(50)]

    def fails(tried: list[tuple[str, list[int]]]) -> bool:
        return sum(choices[0] > 20 for _, choices in tried if choices) >= 3

    few = smallest(taken, fails)
    assert len(few) == 3
    assert all(choices[1:] in ([0], []) for _, choices in few)
