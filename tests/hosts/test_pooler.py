"""Behind pgbouncer, which gives every transaction another connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import SQLStore, migrate
from oqron_sql.errors import ConfigurationError, UnsupportedDatabase
from tests.hosts.conftest import MakeHost
from tests.hosts.hosts import SERVED, Either, settled
from tests.hosts.methods import MINUTE, QUEUE, a_day, job
from tests.servers import Server

drivers = pytest.mark.parametrize("name", [name for name in SERVED if name.startswith("pg")])
UNPREPARED: dict[str, dict[str, Any]] = {
    "pg-asyncpg": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": str,
    },
    "pg-psycopg": {"prepare_threshold": None},
    "pg-psycopg-blocking": {"prepare_threshold": None},
}
CALLERS = 20
Poolers = Callable[[str], Server]


@drivers
async def test_one_word_is_enough(name: str, make_host: MakeHost, poolers: Poolers) -> None:
    host = await make_host(name)
    url = host.url.set(port=poolers("transaction").port)
    engine = host.create(url, connect_args=UNPREPARED[name])
    for bind in (url, engine):
        store = host.store_on(bind, pooler="transaction")
        assert store.notifier._listener is None, "nobody listens there"
        await settled(store.connect())
        host.restore({})
        await a_day(Either(store))
        await asyncio.gather(*(save(store) for _ in range(CALLERS)))
        await settled(store.disconnect())
    await settled(engine.dispose())


async def save(store: Any) -> None:
    call = store.save_job
    given = job(data={"n": 1})
    await (
        asyncio.to_thread(call, QUEUE, given) if isinstance(store, SQLStore) else call(QUEUE, given)
    )


@drivers
@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_a_pooler_that_nobody_spoke_of_is_refused(
    name: str, mode: str, make_host: MakeHost, poolers: Poolers
) -> None:
    host = await make_host(name)
    url = host.url.set(port=poolers(mode).port)
    unprepared = {"connect_args": UNPREPARED[name]} if mode == "transaction" else {}
    engine = host.create(url, poolclass=sa.NullPool, **unprepared)
    for bind in (url, engine):
        with pytest.raises(UnsupportedDatabase, match=r"a pooler in between.*pooler="):
            await settled(host.store_on(bind).connect())
        store = host.store_on(bind, pooler=mode)
        await settled(store.connect())
        await settled(store.save_job(QUEUE, job()))
        await settled(store.disconnect())


@drivers
async def test_an_engine_that_prepares_is_refused(
    name: str, make_host: MakeHost, poolers: Poolers
) -> None:
    host = await make_host(name)
    engine = host.create(host.url.set(port=poolers("transaction").port), poolclass=sa.NullPool)
    remedy = next(iter(UNPREPARED[name]))
    with pytest.raises(UnsupportedDatabase, match=f"prepares statements.*connect_args.*{remedy}"):
        await settled(host.store_on(engine, pooler="transaction").connect())


@drivers
async def test_no_pooler_is_seen_where_there_is_none(name: str, make_host: MakeHost) -> None:
    host = await make_host(name)
    for pooler in (None, "transaction"):
        store = host.store_on(host.url, pooler=pooler)
        await settled(store.connect())
        await settled(store.disconnect())


async def test_tables_are_made_through_it_by_many_at_once(
    make_host: MakeHost, poolers: Poolers
) -> None:
    """The lock is one of the transaction: that of a session would exclude nobody there."""
    host = await make_host("pg-psycopg-blocking")
    url = host.url.set(port=poolers("transaction").port)
    stores = [SQLStore(url, prefix="pooled_", pooler="transaction") for _ in range(8)]
    await asyncio.gather(*(asyncio.to_thread(store.connect) for store in stores))
    for store in stores:
        store.disconnect()
    migrate.check(host.eyes, prefix="pooled_")
    migrate.downgrade(host.eyes, prefix="pooled_")


async def test_transactions_of_the_host_through_it(make_host: MakeHost, poolers: Poolers) -> None:
    host = await make_host("pg-asyncpg")
    url = host.url.set(port=poolers("transaction").port)
    through = type(host)(host.backend, url, connect_args=UNPREPARED["pg-asyncpg"])
    for ending in ("rollback", "commit"):
        async with through.begin() as tx:
            await tx.note(1)
            await tx.store.save_job(QUEUE, job())
            await tx.store.fetch_next_job(QUEUE, "me", MINUTE)
            await (tx.rollback() if ending == "rollback" else tx.commit())
    assert through.notes() == [1]
    assert await host.store.get_active_count(QUEUE) == 1
    await through.close()


def test_other_databases_know_no_pooler(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing is known of a pooler"):
        SQLStore(f"sqlite:///{tmp_path / 'jobs.db'}", pooler="transaction")
    mode: Any = "statement"
    with pytest.raises(ConfigurationError, match="'statement' must be"):
        SQLStore(f"sqlite:///{tmp_path / 'jobs.db'}", pooler=mode)
