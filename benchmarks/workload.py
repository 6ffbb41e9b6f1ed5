"""What every side does alike: the payload, how callers are let loose, what waking took."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Iterable

import sqlalchemy as sa

from benchmarks.measure import Meter
from benchmarks.plan import Sample

QUEUE = "benchmark"
BULK = 1000
WARM_UP = 200


def payload(number: int) -> dict[str, int]:
    """Return the payload of one job."""
    return {"n": number}


def plain_url(url: str) -> str:
    """Return `url` as a driver without SQLAlchemy wants it."""
    made = sa.make_url(url)
    return made.set(drivername=made.get_backend_name()).render_as_string(hide_password=False)


async def shared_out(
    numbers: Iterable[int], callers: int, call: Callable[[int], Awaitable[object]]
) -> None:
    """Call with each of `numbers`, by so many callers at once."""
    left = iter(numbers)

    async def caller() -> None:
        for number in left:
            await call(number)

    await asyncio.gather(*(caller() for _ in range(callers)))


def median_wake(latencies: list[float], meter: Meter) -> Sample:
    """Return a sample whose rate is one through the median latency."""
    return meter.sample(len(latencies), window=statistics.median(latencies) * len(latencies))
