"""What a server must be like to keep what was promised; asked once, when a connection opens."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from redis.exceptions import NoPermissionError

from oqron_sql.errors import UnsupportedDatabase
from oqron_sql.redis.clients import is_cluster

OLDEST = (6, 2)
logger = logging.getLogger("oqron_sql")

Facts = Mapping[str, Any]


async def check_server(client: Any, *, allow_eviction: bool) -> None:
    """Check every server that `client` may write to, by what its INFO says.

    Raises:
        UnsupportedDatabase: it is too old, or throws data away when its memory is full.
    """
    try:
        told = await client.info(**({"target_nodes": "primaries"} if is_cluster(client) else {}))
    except NoPermissionError:
        logger.warning(
            "Redis does not let this user ask INFO: see to it yourself that it is version 6.2 or "
            "newer, with maxmemory-policy noeviction and appendonly yes"
        )
        return
    for facts in told.values() if is_cluster(client) else [told]:
        check_facts(facts, allow_eviction=allow_eviction)


def check_facts(facts: Facts, *, allow_eviction: bool) -> None:
    """Check what one server says of itself.

    Raises:
        UnsupportedDatabase: it is too old, or throws data away when its memory is full.
    """
    _check_version(facts)
    _check_eviction(facts, allow_eviction=allow_eviction)
    _check_persistence(facts)


def _check_version(facts: Facts) -> None:
    found = str(facts.get("redis_version", "0"))
    version = tuple(int(re.sub(r"\D.*", "", part) or 0) for part in found.split(".")[:2])
    if version < OLDEST:
        raise UnsupportedDatabase("Redis", f"version {found}", "Use Redis 6.2 or newer, or Valkey")


def _check_eviction(facts: Facts, *, allow_eviction: bool) -> None:
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return
    problem = f"maxmemory-policy {policy} throws away ids, documents and locks when memory is full"
    if not allow_eviction:
        raise UnsupportedDatabase(
            "Redis", problem, "Set it to noeviction, or pass allow_eviction=True to live with that"
        )
    logger.warning("Redis: %s", problem)


def _check_persistence(facts: Facts) -> None:
    if not facts.get("aof_enabled"):
        logger.warning(
            "Redis keeps no append-only file: a crash loses what was written since its last "
            "snapshot, if it makes any; set appendonly yes"
        )
