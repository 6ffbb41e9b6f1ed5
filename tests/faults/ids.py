"""Ids are published and claimed, and locks are held: the adapters on any backend.

The lease of a claim is how often its id was delivered. An id that was published and may or may not
have been is not published again: whoever had claimed it may have taken it out.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import timedelta
from typing import Any

from oqron_sql.contract.adapters import Claim, Message
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock
from oqron_sql.contract.ids import new_id
from oqron_sql.errors import ClaimLost, StoreUnavailable
from tests.faults.acting import Ports, Spec, opened, pause, stopping
from tests.faults.history import Journal, now

AT_ONCE = 4
WAIT = timedelta(seconds=0.2)


async def publish(spec: Spec) -> None:
    """Publish ids one by one, and now and then a few at once."""
    rng = random.Random(spec["seed"])
    with stopping() as told:
        async with opened(spec, told) as ports:
            while ports and not told.is_set():
                ids = [new_id() for _ in range(1 if rng.random() < 0.8 else 5)]
                publishing = asyncio.ensure_future(publish_all(spec, ports, ids))
                if rng.random() < spec.get("cancel", 0):
                    await asyncio.wait([publishing], timeout=rng.uniform(0, 0.01))
                    if publishing.cancel():
                        ports.journal.write("cancelled")
                with suppress(StoreUnavailable, asyncio.CancelledError):
                    await publishing
                await pause(told, rng.uniform(0, 2 * spec.get("pace", 0.02)))


async def publish_all(spec: Spec, ports: Ports, ids: list[str]) -> None:
    broker, queue = ports.broker, spec["queue"]
    for each in ids:
        ports.journal.write("enqueueing", job=each)
    one = len(ids) == 1
    messages = [Message(each) for each in ids]
    call = broker.publish(queue, ids[0]) if one else broker.publish_batch(queue, messages)
    await ports.doom.around("enqueue", call)
    for each in ids:
        ports.journal.write("published", job=each)


async def consume(spec: Spec) -> None:
    """Claim ids, work on them for a while, and acknowledge them or hand them back."""
    rng = random.Random(spec["seed"])
    with stopping() as told:
        async with opened(spec, told) as ports:
            while ports and not told.is_set():
                with suppress(StoreUnavailable):
                    claims = await claim(spec, ports, rng)
                    each = (Consumer(spec, ports, rng, claim).work() for claim in claims)
                    await asyncio.gather(*each)


async def claim(spec: Spec, ports: Ports, rng: random.Random) -> list[Claim]:
    broker, queue, me = ports.broker, spec["queue"], ports.journal.process
    asked, span = now(), lease(spec)
    if rng.random() < 0.5:
        claims = await ports.doom.around("claim", broker.claim(queue, me, AT_ONCE, span))
    else:
        waiting = broker.claim_blocking(queue, me, span, WAIT)
        one = await ports.doom.around("claim", waiting)
        claims = [] if one is None else [one]
    for each in claims:
        valid = asked + span.total_seconds()
        ports.journal.write("claimed", job=each, lease=each.deliveries, valid=valid)
    return claims


def lease(spec: Spec) -> timedelta:
    return timedelta(seconds=spec.get("lease", 1.0))


class Consumer:
    """Works on one claim."""

    def __init__(self, spec: Spec, ports: Ports, rng: random.Random, claim: Claim) -> None:
        self.spec, self.ports, self.rng, self.claim = spec, ports, rng, claim
        self.queue = spec["queue"]

    def write(self, what: str, **facts: Any) -> None:
        self.ports.journal.write(what, job=self.claim, lease=self.claim.deliveries, **facts)

    async def work(self) -> None:
        self.write("began")
        await asyncio.sleep(self.rng.uniform(0, 2 * self.spec.get("seconds", 0.01)))
        if self.rng.random() < 0.2 and not await self.extend():
            return
        self.write("ended")
        await self.finish("waiting" if self.rng.random() < 0.05 else "completed")

    async def extend(self) -> bool:
        asked, span, me = now(), lease(self.spec), self.ports.journal.process
        call = self.ports.broker.extend_lock(self.claim, me, span, self.queue)
        try:
            await self.ports.doom.around("extend", call)
        except ClaimLost:
            return False
        self.write("extended", valid=asked + span.total_seconds())
        return True

    async def finish(self, state: str) -> None:
        broker: AsyncBroker = self.ports.broker
        self.write("finishing", state=state)
        end = broker.ack if state == "completed" else broker.nack
        try:
            done = await self.ports.doom.around("finish", end(self.queue, self.claim))
        except ClaimLost:
            done = False
        self.write("finished", state=state if done else None)


async def lock(spec: Spec) -> None:
    """Take locks, work under them, for longer than they last now and then, and let go of them."""
    rng = random.Random(spec["seed"])
    with stopping() as told:
        async with opened(spec, told) as ports:
            while ports and not told.is_set():
                with suppress(StoreUnavailable):
                    await hold(ports.lock, ports.journal, rng, spec.get("ttl", 0.3))
                await pause(told, rng.uniform(0, 0.01))


async def hold(locks: AsyncLock, journal: Journal, rng: random.Random, ttl: float) -> None:
    key, owner, span = f"lock-{rng.randrange(2)}", journal.process, timedelta(seconds=ttl)
    asked = now()
    fence = await locks.acquire(key, owner, span)
    if fence is None:
        return
    held = {"key": key, "fence": fence}
    journal.write("acquired", **held, asked=asked, valid=asked + ttl)
    await asyncio.sleep(rng.uniform(0, ttl / 2))
    if rng.random() < 0.5:
        asked = now()
        if await locks.renew(key, owner, span):
            journal.write("renewed", **held, valid=asked + ttl)
        await asyncio.sleep(rng.uniform(0, ttl / 2))
    if rng.random() < 0.8:  # else it is left to run out
        journal.write("releasing", **held)
        await locks.release(key, owner)
