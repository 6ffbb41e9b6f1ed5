"""connect() tries again while a database is away, and not where it lets nobody in like that."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, SQLStore
from oqron_sql.errors import StoreClosed, StoreUnavailable
from oqron_sql.queries.tx import Contended, Tx
from tests import servers
from tests.conftest import installed
from tests.servers import PASSWORD, Server, free_port


async def lines_of(url: str, said: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what is logged until `connect` gives up, which has to quote what was `said`."""
    store = AsyncSQLStore(url)
    with caplog.at_level(logging.INFO, "oqron_sql"), pytest.raises(StoreUnavailable, match=said):
        await store.connect()
    await store.disconnect()
    return [record.getMessage() for record in caplog.records if record.name == "oqron_sql"]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A PostgreSQL that asks for passwords."""
    with installed(), servers.postgresql() as server:
        rules = server.folder / "data/pg_hba.conf"
        rules.write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        server.restart()
        yield server


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_postgresql_refuses(
    driver: str, guarded: Server, postgresql: Server, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgresql.url(driver)
    for refused, said in (
        (guarded.url(driver), "password authentication failed"),
        (url.replace("//postgres:", "//nobody:"), 'role "nobody" does not exist'),
        (postgresql.url(driver, "nowhere"), 'database "nowhere" does not exist'),
    ):
        assert await lines_of(refused, said, caplog) == []


@pytest.mark.parametrize("driver", ["asyncmy", "pymysql"])
async def test_mariadb_refuses(
    driver: str, mariadb: Server, caplog: pytest.LogCaptureFixture
) -> None:
    url = mariadb.url(driver)
    assert await lines_of(url.replace(PASSWORD, "wrong"), "Access denied", caplog) == []
    assert await lines_of(mariadb.url(driver, "nowhere"), "Unknown database", caplog) == []


async def test_a_folder_that_is_not_there(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/nowhere/oqron.db"
    assert await lines_of(url, "unable to open database file", caplog) == []


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql+pymysql"])
async def test_the_reason_of_an_outage_is_told_once(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{driver}://me:s3cret@127.0.0.1:{free_port()}/db"
    (line,) = await lines_of(url, "refused", caplog)
    assert line.startswith("trying connect again: ")
    assert "refused" in line
    assert "s3cret" not in line


def test_who_was_let_in_once_asks_again(
    postgresql: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """What is refused by then may be a password that is just being changed."""
    url = postgresql.url("psycopg")
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as conn:
        conn.exec_driver_sql("CREATE ROLE leaving SUPERUSER LOGIN")
    leaving = url.replace("//postgres:", "//leaving:")
    engine = sa.create_engine(leaving, poolclass=sa.NullPool)
    store = SQLStore(engine, migrate="off")
    store.connect()
    with admin.connect() as conn:
        conn.exec_driver_sql("DROP ROLE leaving")
    with caplog.at_level(logging.INFO, "oqron_sql"), pytest.raises(StoreUnavailable):
        store.get_job("q", "id")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "oqron_sql"]
    assert line.startswith("trying get_job again: ")
    assert line.endswith('role "leaving" does not exist')
    store.disconnect()
    engine.dispose()


def test_a_call_that_is_tried_again_does_not_open_a_store_that_was_closed(
    postgresql: Server,
) -> None:
    store = SQLStore(postgresql.url("psycopg"), prefix="refusals_")
    store.connect()
    tried: list[Tx] = []

    def disconnects(tx: Tx) -> None:
        tried.append(tx)
        tx.conn.invalidate()  # or it is left to the pool that disconnect() disposes
        store.disconnect()
        raise Contended

    with pytest.raises(StoreClosed, match="after disconnect"):
        store.run(disconnects)
    assert len(tried) == 1
