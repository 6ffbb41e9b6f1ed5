"""A process that says which ids it claims, and which of them it acknowledges."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

from oqron_sql.errors import ClaimLost
from oqron_sql.redis import AsyncRedisBroker, RedisConnection
from tests.forked import READY, Wire

QUEUE = "race"
LEASE = timedelta(seconds=1)


def claimant(wire: Wire, url: str) -> None:
    """Wait for the word to go, and work until nothing is left."""
    asyncio.run(_claim(wire, url))


async def _claim(wire: Wire, url: str) -> None:
    async with RedisConnection(url) as connection:
        broker = AsyncRedisBroker(connection)
        wire.say(READY)
        await asyncio.to_thread(wire.hear)
        while await broker.size(QUEUE):
            one = await broker.claim_blocking(QUEUE, f"p{os.getpid()}", LEASE, LEASE / 2)
            claims = [one] if one is not None else []
            claims += await broker.claim(QUEUE, f"p{os.getpid()}", 4, LEASE)
            wire.say(["claimed", claims])
            for claim in claims:
                try:
                    if await broker.ack(QUEUE, claim):
                        wire.say(["acked", [claim]])
                except ClaimLost:
                    wire.say(["lost", [claim]])
