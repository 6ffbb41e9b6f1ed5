"""A host's engine, of any sort, serves a store and stays as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from oqron_sql import JobState, SQLStore
from oqron_sql.errors import ConfigurationError, UnsupportedDatabase
from tests.backends import BACKENDS
from tests.hosts.conftest import MakeHost
from tests.hosts.engines import COMMON, ENGINES, Decimal, fingerprint
from tests.hosts.hosts import NOTES, SERVED, Host
from tests.hosts.methods import MINUTE, QUEUE, a_day, job

pytestmark = pytest.mark.timeout(60)
CALLERS = 20


async def test_a_store_works_and_leaves_no_trace(
    make_host: MakeHost, family_of_it: str, setting: str
) -> None:
    options = ENGINES[BACKENDS[family_of_it].server or "sqlite"][setting]
    host = await make_host(family_of_it, connected=False, **options)
    before = await fingerprint(host)
    await host.store.connect()
    await a_day(host.store)
    assert await fingerprint(host) == before
    host.restore({})

    async with host.begin() as tx:
        await a_day(tx.store)
        await tx.commit()
    assert await fingerprint(host) == before
    assert await host.store.count_jobs(QUEUE, JobState.COMPLETED) == 4


@pytest.mark.parametrize(
    "setting", ["no pool", "a pool of one", "one connection", "AUTOCOMMIT", "nothing is reset"]
)
@pytest.mark.parametrize("name", ["aiosqlite", "pg-asyncpg", "pg-psycopg", "maria-asyncmy"])
async def test_an_asyncio_engine(make_host: MakeHost, name: str, setting: str) -> None:
    host = await make_host(name, connected=False, **COMMON[setting])
    before = await fingerprint(host)
    await host.store.connect()
    await a_day(host.store)
    await asyncio.gather(*(host.store.save_job(QUEUE, job()) for _ in range(CALLERS)))
    taken = await asyncio.gather(
        *(host.store.fetch_next_job(QUEUE, "me", MINUTE) for _ in range(CALLERS))
    )
    assert len({one.id for one in taken}) == CALLERS
    assert await fingerprint(host) == before


@pytest.mark.parametrize("setting", ["a pool of one", "one connection"])
async def test_threads_share_what_connections_there_are(
    family: str, make_host: MakeHost, setting: str
) -> None:
    options = {"check_same_thread": False} if family == "sqlite" else {}
    host = await make_host(family, **COMMON[setting], connect_args=options)
    await host.store.save_bulk(QUEUE, [job() for _ in range(CALLERS)])
    with ThreadPoolExecutor(CALLERS) as threads:
        fetch = host.bare.fetch_next_job
        taken = list(threads.map(lambda _: fetch(QUEUE, "me", MINUTE), range(CALLERS)))
    assert len({one.id for one in taken}) == CALLERS


async def test_our_json_is_ours_and_theirs_is_theirs(family: str, make_host: MakeHost) -> None:
    host = await make_host(family, **COMMON["own JSON"])
    papers = sa.Table("papers", sa.MetaData(), sa.Column("body", sa.JSON))
    papers.create(host.eyes)
    try:
        with Session(host.sync_engine) as session:
            session.execute(papers.insert().values(body={"n": 1}))
            given = job(data={"n": 1})
            host.bare.using(session).save_job(QUEUE, given)
            session.commit()
            assert session.scalar(sa.select(papers.c.body)) == {"theirs": {"n": Decimal("1")}}
        assert (await host.store.get_job(QUEUE, given.id)).data == {"n": 1}
    finally:
        papers.drop(host.eyes)


async def test_a_translation_of_schemas_is_for_their_tables(make_host: MakeHost) -> None:
    host = await make_host("pg-psycopg-blocking", **COMMON["translated"])
    elsewhere = NOTES.to_metadata(sa.MetaData(), schema="elsewhere")
    with host.eyes.begin() as conn:
        conn.execute(sa.schema.CreateSchema("elsewhere"))
        elsewhere.create(conn)
    try:
        async with host.begin() as tx:
            await tx.note(1)
            await tx.store.save_job(QUEUE, job())
            await tx.note(2)
            await tx.commit()
        with host.eyes.connect() as conn:
            assert list(conn.scalars(sa.select(elsewhere.c.id))) == [1, 2]
        assert await host.store.count_jobs(QUEUE, JobState.WAITING) == 1
    finally:
        with host.eyes.begin() as conn:
            conn.execute(sa.schema.DropSchema("elsewhere", cascade=True))


async def test_hooks_see_our_statements_as_well(typical: Host) -> None:
    """Whoever traces the engine traces the queue."""
    seen: list[str] = []
    sa.event.listen(
        typical.sync_engine, "before_cursor_execute", lambda _c, _u, text, *_: seen.append(text)
    )
    await typical.store.save_job(QUEUE, job())
    assert any("oqron_jobs" in text for text in seen)


@pytest.mark.parametrize("name", SERVED)
async def test_an_encoding_that_not_everything_fits_in_is_refused(
    make_host: MakeHost, name: str
) -> None:
    if name == "pg-asyncpg":
        pytest.skip("it speaks UTF-8 alone")
    given = {"client_encoding": "latin1"} if name.startswith("pg") else {"charset": "latin1"}
    host = await make_host(name, connected=False, connect_args=given)
    with pytest.raises(UnsupportedDatabase, match=r"LATIN1|latin1"):
        await host.store.connect()


async def test_a_factory_of_sessions_stands_for_its_engine(host: Host) -> None:
    engine: Any = host.engine
    factory = sessionmaker(engine) if host.backend.blocking else async_sessionmaker(engine)
    store = host.store_on(factory)
    assert store._shell.source.engine.pool is host.sync_engine.pool
    with pytest.raises(ConfigurationError, match="bound to a connection"):
        SQLStore(sessionmaker(sa.create_engine("sqlite://").connect()))


def test_a_session_with_an_engine_per_table_has_to_say_which() -> None:
    with (
        Session(binds={NOTES: sa.create_engine("sqlite://")}) as session,
        pytest.raises(ConfigurationError, match="bind_arguments"),
    ):
        SQLStore(session)


@pytest.fixture
def busy() -> Iterator[sa.Engine]:
    engine = sa.create_engine(
        "sqlite://", poolclass=sa.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.1
    )
    yield engine
    engine.dispose()


def test_a_pool_that_the_host_has_emptied_is_an_error(busy: sa.Engine) -> None:
    store = SQLStore(busy)
    with busy.connect(), pytest.raises(sa.exc.TimeoutError, match="QueuePool limit"):
        store.connect()
    store.connect()
