"""What the processes of a run do, until they are told to stop, or killed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults import bugs, ids, jobs, series
from tests.faults.acting import Spec, on_redis

Role = Callable[[Spec], Awaitable[None]]
ROLES: dict[str, Role] = {
    "enqueue": jobs.enqueue,
    "work": jobs.work,
    "put": series.put,
    "fire": series.fire,
    "publish": ids.publish,
    "consume": ids.consume,
    "lock": ids.lock,
}
ON_REDIS: dict[str, Role] = {"enqueue": ids.publish, "work": ids.consume}
"""What is played where there are no jobs."""


def play(spec: Spec) -> None:
    """Play the role of a spec to its end."""
    if spec.get("bug"):
        bugs.plant(spec["bug"])
    roles = {**ROLES, **ON_REDIS} if on_redis(spec["url"]) else ROLES

    async def playing() -> None:
        await roles[spec["role"]](spec)

    asyncio.run(playing())
