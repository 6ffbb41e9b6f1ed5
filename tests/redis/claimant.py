"""A process that claims and acknowledges: `python -m tests.redis.claimant URL`.

It tells, a JSON value a line, what it claimed, and what it then acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import timedelta

from oqron_sql.errors import ClaimLost
from oqron_sql.redis import AsyncRedisBroker, RedisConnection

QUEUE = "race"
LEASE = timedelta(seconds=1)


async def main(url: str) -> None:
    async with RedisConnection(url) as connection:
        broker = AsyncRedisBroker(connection)
        print(json.dumps("ready"), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        while await broker.size(QUEUE):
            one = await broker.claim_blocking(QUEUE, f"p{os.getpid()}", LEASE, LEASE / 2)
            claims = [one] if one is not None else []
            claims += await broker.claim(QUEUE, f"p{os.getpid()}", 4, LEASE)
            print(json.dumps(["claimed", claims]), flush=True)
            for claim in claims:
                try:
                    if await broker.ack(QUEUE, claim):
                        print(json.dumps(["acked", [claim]]), flush=True)
                except ClaimLost:
                    print(json.dumps(["lost", [claim]]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
