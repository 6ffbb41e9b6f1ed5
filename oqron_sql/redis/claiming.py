"""Claiming: at once, or waiting for it; a caller that gives up claims nothing."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from oqron_sql.contract.adapters import Claim, Strategy
from oqron_sql.contract.ids import new_id
from oqron_sql.errors import StoreUnavailable
from oqron_sql.redis.connection import RedisConnection
from oqron_sql.redis.queue import Look, Queue
from oqron_sql.redis.room import Room

# How long a caller that was cancelled waits to know that its claim was undone, in seconds.
UNDONE_WITHIN = 5.0


class Claiming:
    """Claims ids of one queue."""

    def __init__(self, connection: RedisConnection, queue: Queue) -> None:
        self._connection, self._queue = connection, queue
        self._room: Room | None = None

    async def claim(self, consumer: str, limit: int, ttl: int, strategy: Strategy) -> list[Claim]:
        """Claim up to `limit` of the ids that wait now."""
        token, claims = new_id(), list[Claim]()
        more = limit > 0
        while more:
            try:
                look = await self._look(strategy, limit - len(claims), ttl, token, consumer, claims)
            except StoreUnavailable:
                if claims:  # somebody is to work on them
                    return claims
                raise
            claims += look.claims
            more = look.more
        return claims

    async def claim_one(
        self, consumer: str, ttl: int, timeout: timedelta, strategy: Strategy
    ) -> Claim | None:
        """Claim one id, waiting for it."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout.total_seconds()
        room, token = self._enter(), new_id()
        with room.entered() as turn:
            while True:
                room.about_to_look(turn)
                look = await self._look(strategy, 1, ttl, token, consumer)
                if look.claims:
                    room.call(look.waiting)
                    return look.claims[0]
                if look.more:
                    continue
                room.expect(look.next_change)
                try:
                    async with asyncio.timeout_at(ends):
                        await turn.called.wait()
                except TimeoutError:
                    return None

    def _enter(self) -> Room:
        """Return the room, which is called from now on whenever an id waits."""
        if self._room is None:
            room = self._room = Room()
            self._connection.listener.add(self._queue.wake_channel, lambda _: room.call())
        return self._room

    async def _look(
        self,
        strategy: Strategy,
        limit: int,
        ttl: int,
        token: str,
        consumer: str,
        held: list[Claim] | None = None,
    ) -> Look:
        """Look once. If the caller is cancelled meanwhile, what it claimed waits again."""
        looking = self._connection.do_later(self._queue.look(strategy, limit, ttl, token, consumer))
        try:
            return await asyncio.shield(looking)
        except asyncio.CancelledError:
            undone = self._connection.do_later(self._undo(looking, held or []))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UNDONE_WITHIN):
                    await asyncio.shield(undone)
            raise

    async def _undo(self, looking: asyncio.Task[Look], held: list[Claim]) -> None:
        with contextlib.suppress(StoreUnavailable):  # then it ends at its deadline
            with contextlib.suppress(StoreUnavailable):
                held = held + (await looking).claims
            await self._queue.unclaim(held)
