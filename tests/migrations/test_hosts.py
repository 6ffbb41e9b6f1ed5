"""An application's own engine, connection or transaction is left as it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import migrate
from oqron_sql.errors import LockTimeout, SchemaOutOfDate
from oqron_sql.schema.migrating import locked
from oqron_sql.schema.revisions import REVISIONS
from oqron_sql.schema.tables import DEFAULT_PREFIX
from tests.migrations.targets import Target
from tests.migrations.test_modes import pretend

Make = Callable[[sa.URL], sa.Engine]


def make(**options: Any) -> Make:
    return lambda url: sa.create_engine(url, pool_size=1, max_overflow=0, **options)


def with_begin_hook(url: sa.URL) -> sa.Engine:
    """As SQLAlchemy's documentation recommends for SQLite."""
    engine = make(connect_args={"isolation_level": None})(url)

    @sa.event.listens_for(engine, "begin")
    def begin(conn: sa.Connection) -> None:
        conn.exec_driver_sql("BEGIN")

    return engine


HOSTS: dict[str, dict[str, Make]] = {
    "sqlite": {
        "plain": make(),
        "impatient": make(connect_args={"timeout": 0}),
        "autocommit": make(isolation_level="AUTOCOMMIT"),
        "no rollback": make(isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True),
        "begin hook": with_begin_hook,
    },
    "postgresql": {
        "plain": make(),
        "serializable": make(isolation_level="SERIALIZABLE"),
        "autocommit": make(isolation_level="AUTOCOMMIT"),
        "timeouts": make(connect_args={"options": "-c statement_timeout=9s -c lock_timeout=7s"}),
    },
    "mariadb": {
        "plain": make(),
        "serializable": make(isolation_level="SERIALIZABLE"),
        "autocommit": make(isolation_level="AUTOCOMMIT"),
    },
}
EVERY = [(name, setting) for name, settings in HOSTS.items() for setting in settings]
JOINED = [pair for pair in EVERY if pair[1] not in ("autocommit", "no rollback")]
hosts = pytest.mark.parametrize(("target", "host"), EVERY, indirect=True)


@pytest.fixture
def host(target: Target, request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    """An application's engine, with a pool of one connection."""
    engine = HOSTS[target.name][request.param](target.fresh())
    with engine.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE host (v INTEGER)")
    yield engine
    engine.dispose()


def state(target: Target, engine: sa.Engine) -> list[Any]:
    with engine.connect() as conn:
        return [*target.settings(conn), dict(engine.get_execution_options())]


def rows(engine: sa.Engine) -> int:
    with engine.connect() as conn:
        return conn.scalar(sa.select(sa.func.count()).select_from(sa.table("host"))) or 0


@hosts
def test_a_hosts_engine_is_as_before(target: Target, host: sa.Engine) -> None:
    before = state(target, host)
    migrate.ensure(host)
    assert state(target, host) == before
    migrate.ensure(host, mode="check")
    assert state(target, host) == before
    migrate.downgrade(host)
    assert state(target, host) == before


@hosts
def test_a_hosts_engine_is_as_before_when_it_fails(target: Target, host: sa.Engine) -> None:
    migrate.ensure(host)
    before = state(target, host)
    pretend(host, "oqron9999")
    with pytest.raises(SchemaOutOfDate):
        migrate.upgrade(host)
    assert state(target, host) == before


@hosts
def test_a_hosts_engine_is_as_before_when_it_waited_in_vain(
    target: Target, host: sa.Engine
) -> None:
    before = state(target, host)
    other = sa.create_engine(host.url)
    elsewhere = locked(other, DEFAULT_PREFIX, None, migrate.LOCK_TIMEOUT)
    with elsewhere, pytest.raises(LockTimeout, match="alembic_version"):
        migrate.ensure(host, timeout=timedelta(milliseconds=10))
    other.dispose()
    assert state(target, host) == before
    migrate.ensure(host)
    assert state(target, host) == before


@pytest.mark.parametrize(("target", "host"), JOINED, indirect=True)
def test_a_transaction_is_joined(target: Target, host: sa.Engine) -> None:
    with host.connect() as conn:
        conn.exec_driver_sql("INSERT INTO host VALUES (1)")
        migrate.upgrade(conn)
        migrate.check(conn)
        conn.rollback()
    assert rows(host) == (0 if target.transactional else 1)
    # Where tables commit by themselves, all but the last revision is written down as well.
    assert migrate.current(host) == (None if target.transactional else REVISIONS[-2])
    with host.begin() as conn:
        migrate.upgrade(conn)
    migrate.check(host)


@hosts
def test_without_a_transaction_a_connection_is_committed(host: sa.Engine) -> None:
    with host.connect() as conn:
        migrate.upgrade(conn.execution_options(isolation_level="AUTOCOMMIT"))
    migrate.check(host)
