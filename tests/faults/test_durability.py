"""What a killed database server keeps, by its settings; and that SQLite waits for the disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from oqron_sql import AsyncSQLStore, JobState, SQLStore, new_job
from oqron_sql.errors import StoreUnavailable
from tests import servers
from tests.conftest import installed
from tests.faults.stages import DURABLE

QUEUE = "kept"
ASKED = os.environ.get("OQRON_FAULTS") == "1"
by_faults = pytest.mark.skipif(not ASKED, reason="it is long: nox -s faults runs it")
Starter = Mapping[str, str]


def test_sqlite_waits_for_the_disk(tmp_path: Path) -> None:
    with SQLStore(f"sqlite:///{tmp_path / 'jobs.db'}") as store:
        full, wal = store.run(
            lambda tx: [
                tx.conn.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("synchronous", "journal_mode")
            ]
        )
    assert (full, wal) == (2, "wal")


@by_faults
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("postgresql", DURABLE["postgresql"]),
        ("mariadb", DURABLE["mariadb"]),
        ("mariadb", {**DURABLE["mariadb"], "innodb-flush-log-at-trx-commit": "2"}),
    ],
    ids=["postgresql", "mariadb-1", "mariadb-2"],
)
async def test_a_killed_server_keeps_what_it_acknowledged(kind: str, settings: Starter) -> None:
    acknowledged, kept = await killed(kind, settings)
    assert acknowledged[-1] in kept
    assert set(acknowledged) <= kept


@by_faults
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("postgresql", {**DURABLE["postgresql"], "synchronous_commit": "off"}),
        ("mariadb", {**DURABLE["mariadb"], "innodb-flush-log-at-trx-commit": "0"}),
    ],
    ids=["postgresql-off", "mariadb-0"],
)
async def test_a_relaxed_server_loses_the_newest_alone(kind: str, settings: Starter) -> None:
    """Those that are gone are the last ones; in the middle nothing is missing."""
    acknowledged, kept = await killed(kind, settings)
    held = [each in kept for each in acknowledged]
    assert held == sorted(held, reverse=True)


async def killed(kind: str, settings: Starter) -> tuple[list[str], set[str]]:
    """Kill a server while jobs are saved; return those that it acknowledged, and those it kept."""
    starter, driver = {
        "postgresql": (servers.postgresql, "asyncpg"),
        "mariadb": (servers.mariadb, "mariadb+asyncmy"),
    }[kind]
    acknowledged: list[str] = []
    with installed(), starter(settings) as server:
        async with AsyncSQLStore(server.url(driver)) as store:

            async def save() -> None:
                while True:
                    acknowledged.append(await store.save_job(QUEUE, new_job(QUEUE, "one")))

            saving = asyncio.ensure_future(save())
            while len(acknowledged) < 200:
                await asyncio.sleep(0.01)
            server.kill9()
            saving.cancel()
            await asyncio.wait({saving})
            await asyncio.to_thread(server.start)
            kept = await store.list_jobs(QUEUE, JobState.WAITING, 0, 1_000_000)
    return acknowledged, {job.id for job in kept}


def test_a_full_disk_is_a_store_that_is_unavailable(tmp_path: Path) -> None:
    """And once there is room, everything goes on."""

    def allow(pages: int) -> None:
        # The pool hands out the connection that was given back last.
        store.run(lambda tx: tx.conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}").close())

    large = new_job(QUEUE, "one", "x" * 100_000)
    with SQLStore(f"sqlite:///{tmp_path / 'jobs.db'}") as store:
        allow(1)  # no more than there are
        with pytest.raises(StoreUnavailable, match="database or disk is full") as caught:
            store.save_job(QUEUE, large)
        assert not caught.value.unknown
        allow(1_000_000)
        store.save_job(QUEUE, large)
        assert store.count_jobs(QUEUE, JobState.WAITING) == 1
