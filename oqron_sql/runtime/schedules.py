"""Series of jobs, as an application sees them: how they are asked for, read and changed."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from oqron_sql.contract import AsyncStore, EventType, JobOptions, Repeat, Schedule, Store
from oqron_sql.contract.cron import parse_cron
from oqron_sql.contract.schedules import CatchUp
from oqron_sql.runtime.orders import KNOWN, Options, check_known, heeded, leading, with_options
from oqron_sql.runtime.telling import announce, announce_blocking


class Series(Options, total=False):
    """What may be asked of a series besides the options of its jobs.

    `key` names it in its queue, by default as its jobs are named. `start` is an instant that may be
    its first, `end` one that is none of it any more, `limit` how many jobs it makes in all.
    `catchup` says what becomes of slots that nobody was there for.
    """

    key: str | None
    start: datetime | None
    end: datetime | None
    limit: int | None
    catchup: CatchUp


_BOUNDS = ("start", "end", "limit")
_OWN = (*_BOUNDS, "key", "catchup")


def series(
    queue: str,
    name: str,
    data: Any,
    opts: JobOptions,
    given: Series,
    *,
    cron: str | None = None,
    every: timedelta | None = None,
    tz: str | None = None,
) -> Schedule:
    """Return the schedule that was asked for, yet to be put.

    Raises:
        InvalidInput: something cannot be what it is.
    """
    if cron is not None:
        leading("cron", parse_cron, cron, name)
    check_known(given, KNOWN | set(_OWN))
    asked: Mapping[str, Any] = given
    bounds = {member: asked.get(member) for member in _BOUNDS}
    options = {member: value for member, value in asked.items() if member not in _OWN}
    return Schedule(
        queue_name=queue,
        key=asked.get("key") or name,
        name=name,
        data=data,
        opts=heeded(with_options(opts, cast("Options", options))),
        repeat=Repeat(cron=cron, every=every, tz=tz, **bounds),
        catchup=asked.get("catchup", "latest"),
    )


class Schedules:
    """The schedules of one queue, for callers that await."""

    __slots__ = ("_queue", "_store")

    def __init__(self, store: AsyncStore, queue: str) -> None:
        self._store, self._queue = store, queue

    async def list(self, start: int = 0, end: int = 100) -> builtins.list[Schedule]:
        """Return a slice of them, by key."""
        return await self._store.list_schedules(self._queue, start, end)

    async def get(self, key: str) -> Schedule | None:
        """Return the schedule with that key, or None."""
        return await self._store.get_schedule(self._queue, key)

    async def pause(self, key: str) -> bool:
        """Fire no more slots of it; False if there is none."""
        return await self._store.pause_schedule(self._queue, key)

    async def resume(self, key: str) -> bool:
        """Go on with the first slot from now on; False if there is none."""
        found = await self._store.resume_schedule(self._queue, key)
        await announce(self._store, self._queue, EventType.QUEUE_SCHEDULED)
        return found

    async def remove(self, key: str) -> bool:
        """End it, and leave the jobs it made; False if there was none."""
        return await self._store.remove_schedule(self._queue, key)


class BlockingSchedules:
    """The schedules of one queue, for callers that block; as `Schedules` otherwise."""

    __slots__ = ("_queue", "_store")

    def __init__(self, store: Store, queue: str) -> None:
        self._store, self._queue = store, queue

    def list(self, start: int = 0, end: int = 100) -> builtins.list[Schedule]:
        """Return a slice of them, by key."""
        return self._store.list_schedules(self._queue, start, end)

    def get(self, key: str) -> Schedule | None:
        """Return the schedule with that key, or None."""
        return self._store.get_schedule(self._queue, key)

    def pause(self, key: str) -> bool:
        """Fire no more slots of it; False if there is none."""
        return self._store.pause_schedule(self._queue, key)

    def resume(self, key: str) -> bool:
        """Go on with the first slot from now on; False if there is none."""
        found = self._store.resume_schedule(self._queue, key)
        announce_blocking(self._store, self._queue, EventType.QUEUE_SCHEDULED)
        return found

    def remove(self, key: str) -> bool:
        """End it, and leave the jobs it made; False if there was none."""
        return self._store.remove_schedule(self._queue, key)
