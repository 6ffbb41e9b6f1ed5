"""Every step that a lock can be asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.model.choosing import Choices
from tests.model.twins import (
    TICK,
    Both,
    Raised,
    Steps,
    Twins,
    Unlike,
    normal,
    often,
    rarely,
    step,
    ticks,
)

TTLS = tuple(map(ticks, (0, 3, 10, 30, 100)))
KEYS = ("l", "l", "l", "L", "l ", "ä%3A{x}*")
OWNERS = ("w1", "w1", "W1", "w2")
WRONG_NAMES = ("", "nul\x00", "x" * 999)


class Given(Choices):
    """Gives each step what it is called with."""

    def key(self) -> str:
        return self.seldom(self.one(KEYS), WRONG_NAMES)

    def owner(self) -> str:
        return self.seldom(self.one(OWNERS), WRONG_NAMES)

    def ttl(self) -> timedelta:
        return self.seldom(self.one(TTLS), (timedelta(0), -TICK))


class LockSteps(Steps[Given]):
    """Drives two locks; of fencing numbers it counts whether they rise."""

    given = Given

    def __init__(self, twins: Twins) -> None:
        super().__init__(twins)
        self.fences: dict[str, Both] = {}

    @often
    def acquire(self, some: Given) -> None:
        key = some.key()
        got = self.call("acquire", key, some.owner(), some.ttl(), by=_is_held)
        if got.reference is not None:
            last = self.fences.get(key, Both(0, 0))
            rises = got.reference - last.reference, got.store - last.store
            if min(rises) < 0 or (rises[0] > 0) != (rises[1] > 0):
                raise Unlike(f"acquire: the number rises by {rises[0]} and by {rises[1]}")
            self.fences[key] = got

    @step
    def renew(self, some: Given) -> None:
        self.call("renew", some.key(), some.owner(), some.ttl())

    @step
    def release(self, some: Given) -> None:
        self.call("release", some.key(), some.owner())

    @step
    def is_owner(self, some: Given) -> None:
        self.call("is_owner", some.key(), some.owner())

    @rarely
    def drop_connection(self, some: Given) -> None:
        """Go on as if nothing had been, when the connection in the pool is gone."""
        self.twins.drop()
        getattr(self, some.one(("acquire", "renew", "release")))(some)
        self.call("is_owner", "l", "w1")

    @step
    def pass_time(self, some: Given) -> None:
        self.twins.clock.advance(some.one((1, 7, 40)) * TICK)

    def look(self) -> None:
        """Who has what."""
        for key in dict.fromkeys(KEYS):
            for owner in dict.fromkeys(OWNERS):
                self.call("is_owner", key, owner)


def _is_held(answer: Any) -> Any:
    return normal(answer) if isinstance(answer, Raised) else answer is not None
