"""The clients of redis-py that we make: one for commands, and one that only listens."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis.asyncio as aioredis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from oqron_sql.errors import ConfigurationError

TIMEOUT = 5.0
LOOKS = 3
# What a pool adds to the arguments it was given, and what would repeat or end a read that lasts.
_NOT_COPIED = ("maint_notifications", "orig_", "himport_", "retry", "socket_timeout")


def for_commands(url: str, *, cluster: bool = False) -> Any:
    """Return a client for `url`, whose own options (`?socket_timeout=10`) count.

    It sends nothing again by itself, except that the client of a cluster looks for a key elsewhere.

    Raises:
        ConfigurationError: redis-py does not understand the URL.
    """
    made = RedisCluster if cluster else aioredis.Redis
    retry = Retry(NoBackoff(), LOOKS if cluster else 0)
    options: dict[str, Any] = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    try:
        _check_database(url)
        client: Any = made.from_url(url, retry=retry, **options)
        if not cluster:
            # One that is never used: what the URL asks for is looked at only when one is made.
            client.connection_pool.make_connection()
    except (ValueError, TypeError, RedisError):  # which may quote a part of the password
        raise ConfigurationError(
            "this Redis URL cannot be read; it must be like redis://user:password@host:6379/0, "
            "rediss://… for TLS, or unix:///path/to/socket, with options that redis-py has"
        ) from None
    return client


def _check_database(url: str) -> None:
    """Refuse a database that is no number, which redis-py takes for the first one.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    path = parts.path.strip("/")
    named = [*parse_qs(parts.query).get("db", []), *([path] if parts.scheme != "unix" else [])]
    for each in named:
        int(each or 0)


def for_listening(client: Any) -> Any:
    """Return a client of one connection to where `client` goes, made for reads that last.

    It has no time limit for a read and repeats nothing. By default redis-py 8 does both: a read
    that blocks ends after five seconds, and begins again in silence.
    """
    where = random.choice(client.get_nodes()) if is_cluster(client) else client.connection_pool  # noqa: S311 - no secret
    given = where.connection_kwargs.items()
    kept: dict[str, Any] = {key: value for key, value in given if not key.startswith(_NOT_COPIED)}
    kept["socket_connect_timeout"] = kept.get("socket_connect_timeout") or TIMEOUT
    kept |= {"retry": Retry(NoBackoff(), 0), "socket_timeout": None, "decode_responses": False}
    pool: Any = aioredis.ConnectionPool(connection_class=where.connection_class, **kept)
    return aioredis.Redis.from_pool(pool)


def checked(client: Any) -> Any:
    """Return a client that a host has passed, if it can be used.

    Raises:
        ConfigurationError: it is none of redis.asyncio's, or its texts are not in UTF-8.
    """
    if not isinstance(client, aioredis.Redis | RedisCluster):
        raise ConfigurationError(
            f"Redis must be given by its URL or as a client of redis.asyncio, not as a "
            f"{type(client).__module__}.{type(client).__qualname__}"
        )
    if client.get_encoder().encoding.lower().replace("-", "") != "utf8":
        raise ConfigurationError("the Redis client must have encoding='utf-8'")
    return client


def is_cluster(client: Any) -> bool:
    """Whether it is the client of a cluster."""
    return isinstance(client, RedisCluster)


def address(client: Any) -> str:
    """Return where a client goes, without user and password."""
    if is_cluster(client):
        return "a cluster"
    given = client.connection_pool.connection_kwargs
    if "path" in given:
        return str(given["path"])
    return f"{given.get('host', 'localhost')}:{given.get('port', 6379)}/{given.get('db', 0)}"
