"""Every test of migrations runs on each of the databases that have revisions run on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from oqron_sql import dialects
from tests.migrations.targets import MariaDB, PostgreSQL, SQLite, Target, store_engine
from tests.servers import Server

Connect = Callable[[sa.URL], sa.Engine]


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    """One kind of database after the other."""
    if request.param == "sqlite":
        return SQLite(tmp_path)
    server = request.getfixturevalue(request.param)
    return PostgreSQL(server) if request.param == "postgresql" else MariaDB(server)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make engines as a store does; they are disposed of in the end."""
    made: list[sa.Engine] = []

    def make(url: sa.URL) -> sa.Engine:
        made.append(store_engine(url))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture
def engine(target: Target, connect: Connect) -> sa.Engine:
    """An engine on an empty database."""
    return connect(target.fresh())


@pytest.fixture
def mariadb_without_lock(mariadb: Server, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A MariaDB on which the lock of migrations is always free."""
    dialect = dialects.get("mysql")
    monkeypatch.setattr(dialect, "lock_migration", lambda *_args, **_options: True)
    monkeypatch.setattr(dialect, "unlock_migration", lambda *_args: None)
    return MariaDB(mariadb)
