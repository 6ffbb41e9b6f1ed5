"""One queue in Redis: its keys, and its scripts as functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from oqron_sql.contract.adapters import BrokerCounts, Claim, Message, Strategy
from oqron_sql.contract.asking import token_of
from oqron_sql.redis import keys
from oqron_sql.redis.connection import RedisConnection
from oqron_sql.redis.script import Script

BOUND = 500
"""How many ids one script handles at most, except for a batch that is to be published whole."""

PUBLISH, CLAIM, ACK, NACK, UNCLAIM, EXTEND = (
    Script("request", "queue", name)
    for name in ("publish", "claim", "ack", "nack", "unclaim", "extend")
)
COUNTS, HELD = (Script("request", "queue", name, changes=False) for name in ("counts", "held"))
PARTS = ("ids", "waiting", "handed_back", "ranked", "delayed", "claimed", "paused", "last")


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What a look at a queue found."""

    claims: list[Claim]
    waiting: int = 0
    """How many ids wait still."""
    next_change: float | None = None
    """Seconds until another one waits, if nothing is published before; None if nobody knows."""
    more: bool = False
    """Whether there is more to be claimed at once."""


class Queue:
    """The ids of one broker name."""

    def __init__(self, connection: RedisConnection, name: str) -> None:
        self.name = name
        self._connection = connection
        self._base = keys.base(connection.prefix, "broker", name)
        self._keys = tuple(f"{self._base}:{part}" for part in PARTS)
        self.wake_channel = f"{self._base}:wake"
        self._ids, self._paused = self._keys[0], self._keys[6]

    async def publish(self, messages: Iterable[Message]) -> None:
        """Publish all or none."""
        given = [
            part
            for message in messages
            for part in (message.id, keys.micros(message.delay), message.priority)
        ]
        if given:
            await self._once(PUBLISH, *given)

    async def look(
        self, strategy: Strategy, limit: int, ttl: int, token: str, consumer: str
    ) -> Look:
        """Claim up to `limit` ids, `BOUND` at most, until `ttl` microseconds from now."""
        asked = min(limit, BOUND)
        reply = await self._once(CLAIM, str(strategy), asked, ttl, token, consumer, BOUND)
        state, wait, waiting, *rest = reply
        claims = [
            Claim(keys.text(one), token, deliveries)
            for one, deliveries in zip(rest[::2], rest[1::2], strict=True)
        ]
        more = keys.text(state) == "more" or (len(claims) == asked < limit)
        return Look(claims, waiting, wait / 1e6 if wait >= 0 else None, more)

    async def unclaim(self, claims: Sequence[Claim]) -> None:
        """Let wait again what was claimed for somebody who is gone."""
        if claims:
            await self._run(UNCLAIM, claims[0].token, *claims)

    async def ack(self, ids: Sequence[str], *, forget: bool = False) -> list[int]:
        """Take ids out: 1 for each that was there, 0 for one that was not, -1 for a lost claim."""
        given = [part for one in ids for part in (one, "" if forget else token_of(one) or "")]
        return list(await self._once(ACK, int(forget), *given))

    async def nack(self, handed_back: Sequence[tuple[str, int, int | None]]) -> list[int]:
        """Hand ids back, each with a delay and a priority; answers are as those of `ack`."""
        given = [
            part
            for one, delay, priority in handed_back
            for part in (one, token_of(one) or "", delay, "" if priority is None else priority)
        ]
        return list(await self._once(NACK, *given))

    async def extend(self, id: str, consumer: str, ttl: int) -> bool:
        """Let a claim end `ttl` microseconds from now; whether it was held."""
        given = (id, consumer, token_of(id) or "", ttl)
        return bool(await self._run(EXTEND, *given))

    async def is_held_by(self, id: str, consumer: str) -> bool:
        """Whether the consumer holds a claim of the id, if `id` is a claim, that one."""
        return bool(await self._run(HELD, id, consumer, token_of(id) or ""))

    async def pause(self) -> None:
        """Let nothing be claimed."""
        await self._connection.command("SET", self._paused, "1", changes=True)

    async def resume(self) -> None:
        """Let ids be claimed again."""
        await self._connection.command("DEL", self._paused, changes=True)
        await self._connection.command("PUBLISH", self.wake_channel, "", changes=True)

    async def is_paused(self) -> bool:
        """Whether it is paused."""
        return bool(await self._connection.command("EXISTS", self._paused))

    async def size(self) -> int:
        """Return how many ids there are."""
        return int(await self._connection.command("HLEN", self._ids))

    async def counts(self) -> BrokerCounts:
        """Return how many ids are in each state."""
        return BrokerCounts(*await self._run(COUNTS))

    async def _once(self, script: Script, *args: Any) -> Any:
        return await self._connection.run_once(
            script, self._base, self._keys, self.wake_channel, *args
        )

    async def _run(self, script: Script, *args: Any) -> Any:
        return await self._connection.run(script, self._keys, self.wake_channel, *args)
