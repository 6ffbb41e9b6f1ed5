"""The lock on Redis."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from oqron_sql.contract.asking import check_ttl
from oqron_sql.contract.checks import check_names
from oqron_sql.redis import keys
from oqron_sql.redis.connection import RedisConnection
from oqron_sql.redis.script import Script

if TYPE_CHECKING:
    from oqron_sql.contract.async_adapters import AsyncLock

ACQUIRE, RENEW, RELEASE = (
    Script("request", "lock", name) for name in ("acquire", "renew", "release")
)
IS_OWNER = Script("request", "lock", "is_owner", changes=False)


class AsyncRedisLock:
    """An awaitable lock on Redis."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def acquire(self, key: str, owner: str, ttl: timedelta) -> int | None:
        """Take the lock until now + `ttl`, or, if `owner` has it, let it last that long."""
        fence = await self._run(ACQUIRE, key, owner, keys.from_now("ttl", check_ttl(ttl)))
        return None if fence is None else int(fence)

    async def renew(self, key: str, owner: str, ttl: timedelta) -> bool:
        """Let the lock last until now + `ttl`; False if `owner` does not have it (any more)."""
        return bool(await self._run(RENEW, key, owner, keys.from_now("ttl", check_ttl(ttl))))

    async def release(self, key: str, owner: str) -> bool:
        """Give the lock up; False if `owner` does not have it."""
        return bool(await self._run(RELEASE, key, owner))

    async def is_owner(self, key: str, owner: str) -> bool:
        """Whether `owner` has the lock now."""
        return bool(await self._run(IS_OWNER, key, owner))

    async def _run(self, script: Script, key: str, *args: Any) -> Any:
        check_names(key=key, owner=args[0])
        lock = keys.base(self._connection.prefix, "lock", key)
        return await self._connection.run(script, (lock,), *args)


if TYPE_CHECKING:
    _awaiting: type[AsyncLock] = AsyncRedisLock
