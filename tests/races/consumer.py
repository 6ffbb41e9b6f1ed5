"""One process that works on ids, and says what it does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from oqron_sql.adapters.sql import SQLAdapters, SQLBroker
from oqron_sql.errors import ClaimLost
from tests.forked import READY, Wire

QUEUE, SPACE = "race", "things"
TTL, LONG = timedelta(seconds=1), timedelta(hours=1)
STEPS = {
    "publish": lambda tx, n: tx.broker.publish(QUEUE, f"id-{n}"),
    "ack": lambda tx, n: tx.broker.ack(QUEUE, f"id-{n}"),
    "nack": lambda tx, n: tx.broker.nack(QUEUE, f"id-{n}"),
}


def drain(broker: SQLBroker, strategy: str) -> Iterator[Any]:
    """Claim and acknowledge until nothing is left."""
    while claims := broker.claim(QUEUE, strategy, 5, LONG, strategy):
        yield claims
        if sum(broker.ack(QUEUE, claim) for claim in claims) < len(claims):
            raise AssertionError("a claim was not held that nobody took")


def survive(broker: SQLBroker, strategy: str) -> Iterator[Any]:
    """Work with short claims until nothing is left, telling what was acknowledged."""
    while broker.size(QUEUE):
        claim = broker.claim_blocking(QUEUE, "survivor", TTL, TTL, strategy)
        if claim is None:
            continue
        yield [claim, "claimed"]
        try:
            if broker.ack(QUEUE, claim):
                yield [claim, "done"]
        except ClaimLost:
            yield [claim, "lost"]


def consume(wire: Wire, role: str, url: str, strategy: str) -> None:
    """Wait for the word to go, and play the role to its end."""
    with SQLAdapters(url) as adapters:
        wire.say(READY)
        wire.hear()
        for said in ROLES[role](adapters.broker, strategy):
            wire.say(said)


def fail(wire: Wire, url: str) -> None:
    """For each step and point it hears, save and take the step in one transaction, in a child.

    The child is killed at that point: 0 after saving, 1 after the step, 2 after the commit.
    """
    wire.say(READY)
    while True:
        step, number, point = wire.hear()
        child = os.fork()
        if not child:
            with SQLAdapters(url) as mine:
                with mine.transaction() as tx:
                    tx.storage.save(SPACE, f"id-{number}", {"step": step})
                    die_at(point, 0)
                    STEPS[step](tx, number)
                    die_at(point, 1)
                die_at(point, 2)
        os.waitpid(child, 0)
        wire.say("dead")


def die_at(point: int, here: int) -> None:
    if point == here:
        os.kill(os.getpid(), signal.SIGKILL)


def pair(wire: Wire, url: str) -> None:
    """Save and publish in one transaction after the other, until somebody puts an end to it."""
    with SQLAdapters(url) as adapters:
        wire.say(READY)
        n = 0
        while True:
            with adapters.transaction() as tx:
                tx.storage.save(SPACE, f"id-{n}", {})
                tx.broker.publish(QUEUE, f"id-{n}")
            n += 1


ROLES: dict[str, Callable[[SQLBroker, str], Iterator[Any]]] = {"drain": drain, "survive": survive}
