"""One process that works on ids: `python -m tests.races.consumer ROLE URL [STRATEGY]`.

It is told to go by a line of input; what it did goes to its output, a JSON value a line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from oqron_sql.adapters.sql import SQLAdapters, SQLBroker
from oqron_sql.errors import ClaimLost

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


def fail(adapters: SQLAdapters) -> None:
    """For each line, a step and a point, save and take the step in one transaction, in a child.

    The child is killed at that point: 0 after saving, 1 after the step, 2 after the commit.
    """
    for line in sys.stdin:
        step, number, point = line.split()
        child = os.fork()
        if not child:
            with SQLAdapters(adapters.store._shell.source.engine.url) as mine:  # type: ignore[union-attr]  # made from a URL
                with mine.transaction() as tx:
                    tx.storage.save(SPACE, f"id-{number}", {"step": step})
                    die_at(point, "0")
                    STEPS[step](tx, number)
                    die_at(point, "1")
                die_at(point, "2")
        os.waitpid(child, 0)
        print(json.dumps("dead"), flush=True)


def die_at(point: str, here: str) -> None:
    if point == here:
        os.kill(os.getpid(), signal.SIGKILL)


def pair(adapters: SQLAdapters) -> None:
    """Save and publish in one transaction after the other, until somebody puts an end to it."""
    n = 0
    while True:
        with adapters.transaction() as tx:
            tx.storage.save(SPACE, f"id-{n}", {})
            tx.broker.publish(QUEUE, f"id-{n}")
        n += 1


ROLES: dict[str, Callable[[SQLBroker, str], Iterator[Any]]] = {"drain": drain, "survive": survive}


def main(role: str, url: str, strategy: str = "fifo") -> None:
    with SQLAdapters(url) as adapters:
        print(json.dumps("ready"), flush=True)
        if role in ROLES:
            sys.stdin.readline()
            for said in ROLES[role](adapters.broker, strategy):
                print(json.dumps(said), flush=True)
        elif role == "fail":
            fail(adapters)
        else:
            pair(adapters)


if __name__ == "__main__":
    main(*sys.argv[1:])
