"""The three adapters on Redis 6.2 or newer, Redis Cluster and Valkey; needs `oqron-sql[redis]`.

    async with RedisConnection("redis://localhost:6379/0") as connection:
        storage = AsyncRedisStorage(connection)
        broker = AsyncRedisBroker(connection)
        lock = AsyncRedisLock(connection)

Nothing here imports SQLAlchemy.
"""

try:
    import redis.asyncio  # noqa: F401 - asked for first, for the sake of the message
except ImportError as error:
    raise ImportError("the Redis adapters need redis-py: pip install 'oqron-sql[redis]'") from error

from oqron_sql.redis.broker import AsyncRedisBroker
from oqron_sql.redis.connection import RedisConnection, connect
from oqron_sql.redis.lock import AsyncRedisLock
from oqron_sql.redis.storage import AsyncRedisStorage

__all__ = [
    "AsyncRedisBroker",
    "AsyncRedisLock",
    "AsyncRedisStorage",
    "RedisConnection",
    "connect",
]
