"""Many start at once, some are killed, and everybody finds the tables in the end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from oqron_sql import dialects, migrate
from oqron_sql.errors import LockTimeout
from oqron_sql.schema.revisions import HEAD
from oqron_sql.schema.tables import tables
from tests.forked import Player, playing
from tests.migrations.conftest import Connect
from tests.migrations.starters import PROCESSES
from tests.migrations.targets import Target
from tests.migrations.victim import victim

ROUNDS = int(os.environ.get("OQRON_ROUNDS", "5"))  # 20 in the session that is run by hand
# The version table is the first change, and its row is the last of each revision, which makes so
# many tables and indexes.
MADE = (8 + 15, 6 + 10, 1 + 2, 1 + 1)
CHANGES = 1 + sum(n + 1 for n in MADE)


def rounds_on(target: Target) -> list[tuple[str, str]]:
    """An empty database per round, or an unused prefix where that makes no difference."""
    if target.name == "sqlite":
        return [(str(target.fresh()), f"r{n}_") for n in range(ROUNDS)]
    url = target.fresh().render_as_string(hide_password=False)
    return [(url, f"r{n}_") for n in range(ROUNDS)]


@pytest.mark.timeout(900)  # a minute on two idle cores
def test_sixteen_processes_start_at_once(target: Target, connect: Connect) -> None:
    rounds = rounds_on(target)
    done = subprocess.run(
        [sys.executable, "-m", "tests.migrations.starters"],
        input=json.dumps(rounds),
        capture_output=True,
        text=True,
        check=True,
    )
    starts = json.loads(done.stdout)
    assert [error for _, _, error in starts if error] == []
    assert len(starts) == PROCESSES * ROUNDS
    print(f"slowest of {len(starts)} starts: {max(seconds for _, seconds, _ in starts):.1f} s")
    for url, prefix in rounds:
        engine = connect(sa.make_url(url))
        assert migrate.current(engine, prefix=prefix) == HEAD
        assert made_of(target, engine, prefix) == len(tables(prefix).metadata.tables)


def made_of(target: Target, engine: sa.Engine, prefix: str) -> int:
    return sum(name.startswith(prefix) for name in target.describe(engine))


@contextmanager
def halted(url: sa.URL, statements: int) -> Iterator[Player]:
    """Another process, halted in the middle of migrating; killed at the end."""
    with playing((victim, url.render_as_string(hide_password=False), statements)) as (process,):
        yield process


@pytest.mark.parametrize("statements", [1, 7, MADE[0] + 5, CHANGES - 1])
def test_a_migration_that_was_killed_is_finished_by_the_next_start(
    target: Target, engine: sa.Engine, connect: Connect, statements: int
) -> None:
    with halted(engine.url, statements), pytest.raises(LockTimeout) as caught:
        migrate.ensure(engine, timeout=timedelta(milliseconds=50))
    assert caught.value.waited == timedelta(milliseconds=50)
    migrate.ensure(engine)
    assert migrate.current(engine) == HEAD
    expected = connect(target.fresh())
    tables().metadata.create_all(expected)
    assert target.describe(engine) == target.describe(expected)


def test_who_waits_goes_on_when_the_one_before_is_killed(target: Target, engine: sa.Engine) -> None:
    with halted(engine.url, 5) as process, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(migrate.ensure, engine)
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        process.kill()
        waiting.result(30)
    assert migrate.current(engine) == HEAD


def test_there_are_as_many_changes_as_the_tests_above_think(engine: sa.Engine) -> None:
    changes = []

    @sa.event.listens_for(engine, "after_cursor_execute")
    def note(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.strip().startswith(("CREATE", "INSERT", "UPDATE")):
            changes.append(statement)

    migrate.ensure(engine)
    assert len(changes) == CHANGES
    assert "alembic_version" in changes[0]
    assert "alembic_version" in changes[-1]


def test_four_upgrades_in_the_threads_of_one_process(target: Target, engine: sa.Engine) -> None:
    prefixes = [f"p{n}_" for n in range(4)] * 2
    together = threading.Barrier(len(prefixes))

    def upgrade(prefix: str) -> None:
        together.wait(30)
        migrate.upgrade(engine, prefix=prefix)

    with ThreadPoolExecutor(len(prefixes)) as pool:
        list(pool.map(upgrade, prefixes))
    for prefix in set(prefixes):
        assert migrate.current(engine, prefix=prefix) == HEAD
        assert made_of(target, engine, prefix) == len(tables(prefix).metadata.tables)


async def test_four_upgrades_in_one_event_loop(target: Target) -> None:
    url = target.asynchronous(target.fresh())
    options = dialects.get(url.get_backend_name()).engine_options(url)
    engine = create_async_engine(url, **options)

    async def upgrade(prefix: str) -> str | None:
        await greenlet_spawn(migrate.ensure, engine.sync_engine, prefix=prefix)
        return await greenlet_spawn(migrate.current, engine.sync_engine, prefix=prefix)

    found = await asyncio.gather(*(upgrade(f"p{n % 4}_") for n in range(8)))
    await engine.dispose()
    assert found == [HEAD] * 8


def test_without_a_lock_starters_still_get_there(
    mariadb_without_lock: Target, connect: Connect
) -> None:
    """As between two nodes of a cluster, whose locks are their own."""
    engine = connect(mariadb_without_lock.fresh())
    together = threading.Barrier(4)

    def upgrade(prefix: str) -> None:
        together.wait(30)
        migrate.upgrade(engine, prefix=prefix)

    for prefix in ("a_", "b_", "c_"):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(upgrade, [prefix] * 4))
        assert migrate.current(engine, prefix=prefix) == HEAD
        assert made_of(mariadb_without_lock, engine, prefix) == len(tables().metadata.tables)


def test_an_error_that_nobody_gets_past_is_raised(
    mariadb_without_lock: Target, connect: Connect
) -> None:
    engine = connect(mariadb_without_lock.fresh())

    @sa.event.listens_for(engine, "before_cursor_execute")
    def refuse(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "oqron_groups_served" in statement:
            raise sa.exc.OperationalError(statement, {}, Exception("no such right"))

    with pytest.raises(sa.exc.OperationalError, match="no such right"):
        migrate.upgrade(engine)
