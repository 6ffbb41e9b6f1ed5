"""No payload is shown by whoever looks at the statements, the errors or the logs of a host.

The canary of tests/canary.py looks on; here it is given the most to look at.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, Fail, FetchOptions
from oqron_sql.adapters.async_sql import AsyncSQLBroker, AsyncSQLStorage
from oqron_sql.adapters.sql import SQLBroker, SQLStorage
from oqron_sql.contract.adapters import Where
from oqron_sql.errors import InvalidInput, LeaseLost, PayloadError, StoreUnavailable
from oqron_sql.testing.steps import PAYLOAD
from tests.canary import CANARY
from tests.hosts.conftest import MakeHost
from tests.hosts.hosts import Either, Host, settled
from tests.hosts.methods import METHODS, MINUTE, QUEUE, job, seed
from tests.servers import PASSWORD

REFUSED = "refused"


@pytest.fixture
def talkative() -> Iterator[None]:
    """Let SQLAlchemy log every statement, and what it is executed with."""
    logger = logging.getLogger("sqlalchemy.engine")
    before = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(before)


@pytest_asyncio.fixture
async def traced(talkative: None, host_name: str, make_host: MakeHost) -> Host:
    """A host whose engine logs all that it does."""
    return await make_host(host_name)


async def test_statements_are_logged_without_payloads(
    traced: Host, caplog: pytest.LogCaptureFixture
) -> None:
    seeded = await seed(traced.store)
    for call in METHODS.values():
        async with traced.begin() as tx:
            await call(tx.store, seeded)
            await tx.rollback()
    await a_failure(traced.store)
    async with traced.begin() as tx:
        await a_failure(tx.store)
    assert sum("INSERT INTO oqron_jobs" in record.message for record in caplog.records) > 2
    assert "text of" in caplog.text
    CANARY.report()


async def test_documents_are_logged_without_what_is_in_them(traced: Host) -> None:
    indexes = {"people": ["name", "age"]}
    blocking = traced.backend.blocking
    storage = Either((SQLStorage if blocking else AsyncSQLStorage)(traced.bare, indexes=indexes))
    broker = Either((SQLBroker if blocking else AsyncSQLBroker)(traced.bare))
    person = {"name": PAYLOAD, "deep": {"er": PAYLOAD}, "age": 36}
    await storage.save("people", "1", person)
    await storage.bulk_save("people", [("2", person), ("3", person)])
    expected = {"name": PAYLOAD}
    assert await storage.compare_and_set("people", "1", expected, {"title": PAYLOAD})
    assert len(await storage.list("people", {"name": PAYLOAD})) == 3
    where = [Where("name", "$gte", PAYLOAD), Where("title", "$lte", PAYLOAD)]
    assert len(await storage.list("people", where=where)) == 1
    with pytest.raises(InvalidInput):
        await storage.list("people", where=[{"name": PAYLOAD}])
    await broker.broadcast("news", {"to": PAYLOAD})
    CANARY.report()


@pytest_asyncio.fixture
async def strict(host_name: str, make_host: MakeHost) -> AsyncIterator[Host]:
    """A host which allows no job of one name: the database may quote the row that is refused."""
    host = await make_host(host_name)
    adding = f"ALTER TABLE oqron_jobs ADD CONSTRAINT strict CHECK (name <> '{REFUSED}')"
    dropping = "ALTER TABLE oqron_jobs DROP CONSTRAINT strict"
    if host.backend.server is None:
        adding = (
            f"CREATE TRIGGER strict BEFORE INSERT ON oqron_jobs WHEN new.name = '{REFUSED}' "
            "BEGIN SELECT RAISE(ABORT, 'strict'); END"
        )
        dropping = "DROP TRIGGER strict"
    for statement in (adding, dropping):
        with host.eyes.begin() as conn:
            conn.exec_driver_sql(statement)
        if statement is adding:
            yield host


async def test_errors_of_the_database_are_raised_without_payloads(strict: Host) -> None:
    own = strict.store_on(strict.url)
    await settled(own.connect())
    refused = job(REFUSED)

    async def joined() -> None:
        async with strict.begin() as tx:
            await tx.store.save_job(QUEUE, refused)

    async def in_a_transaction() -> None:
        if strict.backend.blocking:
            with own.transaction() as tx:
                tx.save_job(QUEUE, refused)
        else:
            async with own.transaction() as tx:
                await tx.save_job(QUEUE, refused)

    for call in (
        lambda: strict.store.save_job(QUEUE, refused),
        lambda: strict.store.save_bulk(QUEUE, [refused, job()]),
        lambda: Either(own).save_job(QUEUE, refused),
        joined,
        in_a_transaction,
    ):
        with pytest.raises(sa.exc.DBAPIError, match="strict") as caught:
            await call()
        shown = "".join(traceback.format_exception(caught.value))
        assert PAYLOAD not in shown + repr(caught.value) + repr(caught.value.orig)
        assert "INSERT INTO oqron_jobs" in shown, "the statement may be seen"
    await settled(own.disconnect())


@pytest.mark.parametrize(
    "driver",
    ["postgresql+psycopg", "postgresql+asyncpg", "mysql+pymysql", "mysql+asyncmy"],
)
async def test_a_server_that_is_gone_is_told_in_the_words_of_the_driver(driver: str) -> None:
    store = AsyncSQLStore(f"{driver}://me:{PASSWORD}@127.0.0.1:1/db")
    with pytest.raises(StoreUnavailable, match=r"did not complete connect: .*127\.0\.0\.1"):
        await store.connect()


async def a_failure(store: Any) -> None:
    """A job that fails and says what it was given, where it fails, and in its log."""
    given = job(PAYLOAD[:6])
    await store.save_job(QUEUE, given)
    leased = await store.fetch_next_job(QUEUE, "me", MINUTE, FetchOptions(job_name=given.name))
    await store.append_logs(QUEUE, leased.id, [PAYLOAD], lease=leased.lease)
    with pytest.raises(LeaseLost):
        await store.append_logs(QUEUE, leased.id, [PAYLOAD], lease=leased.lease + 1)
    with pytest.raises(PayloadError):
        await store.save_job(QUEUE, job(data=[PAYLOAD, object()]))
    await store.finish_jobs(QUEUE, [Fail(leased, PAYLOAD, PAYLOAD)])
    assert await store.search_by_payload(QUEUE, PAYLOAD)
    await store.remove_job(QUEUE, leased.id)
