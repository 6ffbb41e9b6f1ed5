"""Whoever waits is woken by hints, which go out with the commit, and costs next to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from oqron_sql.adapters.async_sql import AsyncSQLAdapters, AsyncSQLBroker
from oqron_sql.adapters.sql import SQLAdapters
from oqron_sql.contract.adapters import Message
from oqron_sql.errors import ConfigurationError
from oqron_sql.notify import notifier
from oqron_sql.queries import claiming
from oqron_sql.testing.adapters.steps import until
from tests.backends import BACKENDS, Backends
from tests.conftest import installed
from tests.forked import Player, playing
from tests.notify.publisher import publisher

MINUTE, LONG = timedelta(minutes=1), timedelta(seconds=20)
WAITING = ("sqlite-thread", "aiosqlite", "pg-asyncpg", "pg-psycopg", "maria-asyncmy")


def url_of(name: str, backends: Backends) -> str:
    with installed():
        return backends.database(BACKENDS[name]).url


@pytest.fixture
def url(backends: Backends, pytestconfig: pytest.Config) -> str:
    """A PostgreSQL."""
    chosen = pytestconfig.getoption("backend")
    if chosen and not any(BACKENDS[each].server == "postgresql" for each in chosen):
        pytest.skip("another backend was asked for")
    return url_of("pg-asyncpg", backends)


@contextlib.asynccontextmanager
async def waiting(broker: AsyncSQLBroker) -> AsyncIterator[asyncio.Task[Any]]:
    """Wait for an id, having looked in vain; it must come within the block."""
    looks: list[Any] = []
    with looking(lambda tx, name: looks.append(name)):
        task = asyncio.create_task(broker.claim_blocking("queue", "me", MINUTE, LONG))
        engine: Any = broker.store._shell.source.engine
        await until(lambda: looks and not engine.pool.checkedout())
    yield task
    async with asyncio.timeout(10):
        await task


@contextlib.contextmanager
def looking(told: Callable[..., object]) -> Iterator[None]:
    """Have `told` called whenever somebody looks whether there is something to claim."""
    look = claiming.look

    def telling(tx: Any, broker: str) -> Any:
        told(tx, broker)
        return look(tx, broker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claiming, "look", telling)
        yield


class Ear:
    """Hears what is notified, on a connection of its own."""

    def __init__(self, url: str, channel: str | None) -> None:
        assert channel is not None
        plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._conn = psycopg.connect(plain, autocommit=True)
        self._conn.execute(f"LISTEN {channel}")

    def hear(self) -> int:
        """Return how often something was said since the last time."""
        self._conn.execute("SELECT 1")
        return sum(1 for _ in self._conn.notifies(timeout=0))

    def close(self) -> None:
        self._conn.close()


@pytest.fixture
def adapters(url: str) -> Iterator[SQLAdapters]:
    with SQLAdapters(sa.make_url(url).set(drivername="postgresql+psycopg")) as made:
        yield made


@pytest.fixture
def ear(url: str, adapters: SQLAdapters) -> Iterator[Ear]:
    made = Ear(url, adapters.store.notifier.channel)
    yield made
    made.close()


def test_an_operation_hints_once(adapters: SQLAdapters, ear: Ear) -> None:
    broker = adapters.broker
    broker.publish("queue", "a")
    assert ear.hear() == 1
    broker.publish_batch("queue", [Message(f"id-{n}") for n in range(100)])
    assert ear.hear() == 1
    (held,) = broker.claim("queue", "me", 1, MINUTE)
    assert ear.hear() == 0
    broker.publish("queue", "a")
    broker.ack("queue", held)
    assert ear.hear() == 2
    broker.ack("queue", held)
    broker.nack("queue", held)
    broker.pause("queue")
    assert ear.hear() == 0
    broker.resume("queue")
    broker.resume("queue")
    assert ear.hear() == 1
    (held,) = broker.claim("queue", "me", 1, MINUTE)
    broker.nack("queue", held)
    assert ear.hear() == 1


def test_a_hint_goes_out_with_the_commit(adapters: SQLAdapters, ear: Ear) -> None:
    with adapters.transaction() as tx:
        for each in "abc":
            tx.broker.publish("queue", each)
        assert ear.hear() == 0
    assert ear.hear() == 1
    with contextlib.suppress(LookupError), adapters.transaction() as tx:
        tx.broker.publish("queue", "d")
        raise LookupError
    assert ear.hear() == 0
    engine = adapters.store._shell.source.engine
    assert engine is not None
    host = sa.create_engine(engine.url)
    with host.connect() as conn:
        adapters.broker.using(conn).publish("queue", "d")
        assert ear.hear() == 0
        conn.commit()
    assert ear.hear() == 1
    host.dispose()


async def test_without_push_nothing_is_said_and_everything_found(url: str) -> None:
    async with AsyncSQLBroker(url, push=False) as broker, AsyncSQLBroker(url) as other:
        ear = Ear(url, other.store.notifier.channel)
        assert broker.store.notifier.channel is None
        with another_process(url) as process:
            async with waiting(broker) as task:
                publish(process, "a")
            assert task.result() == "a"
        await broker.publish("queue", "b")
        assert ear.hear() == 1  # by the other process
        ear.close()


async def test_a_listener_that_was_cut_off_listens_again(url: str) -> None:
    async with AsyncSQLBroker(url) as broker, AsyncSQLBroker(url, prefix="oqron_") as other:
        for _ in range(2):
            async with waiting(broker) as task:
                await until_listening(broker)
                await other.run(cut_off)
                await until(lambda: not broker.store.notifier._listener.listening)  # type: ignore[union-attr]
                await other.publish("queue", "a")
            assert task.result() == "a"
            await broker.ack("queue", task.result())
        async with waiting(broker):
            await until_listening(broker)
            await other.publish("queue", "a")


def cut_off(tx: Any) -> None:
    """End every connection that listens."""
    tx.conn.exec_driver_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE (query LIKE 'LISTEN%%' OR query = 'SELECT 1') AND pid <> pg_backend_pid()"
    )


async def until_listening(broker: AsyncSQLBroker) -> None:
    listener: Any = broker.store.notifier._listener
    await until(lambda: listener.listening)


@pytest.mark.parametrize("name", WAITING)
async def test_waiting_costs_one_statement_a_second_and_no_connection(
    name: str,
    backends: Backends,
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look each period and nothing else; the period is shortened here."""
    chosen = pytestconfig.getoption("backend")
    if chosen and name not in chosen:
        pytest.skip("another backend was asked for")
    for period in ("LOOK_EVERY", "LOOK_EVERY_WHILE_LISTENING"):
        assert getattr(notifier, period) >= timedelta(seconds=1)
        monkeypatch.setattr(notifier, period, timedelta(seconds=0.25))
    async with AsyncSQLBroker(url_of(name, backends)) as broker:
        engine: Any = broker.store._shell.source.engine
        await broker.publish("queue", "later", timedelta(hours=1))
        async with waiting(broker):
            if broker.store.notifier.channel is not None:
                await until_listening(broker)
            said: list[tuple[str, float]] = []
            sa.event.listen(
                engine,
                "before_cursor_execute",
                lambda *told: said.append((told[2], time.monotonic())),
            )
            await until(lambda: len(said) >= 6)
            assert {text for text, _ in said} == {said[0][0]}
            # The first may have been called for: by the connection that had just begun to listen.
            assert said[5][1] - said[1][1] > 4 * 0.25 - 0.05, said
            await until(lambda: engine.pool.checkedout() == 0)
            await broker.publish("queue", "now")


@contextlib.contextmanager
def another_process(url: str) -> Iterator[Player]:
    """Start a process that publishes what it is told to."""
    blocking = sa.make_url(url)
    if blocking.get_backend_name() == "postgresql":
        blocking = blocking.set(drivername="postgresql+psycopg")
    with playing((publisher, blocking.render_as_string(hide_password=False))) as (player,):
        yield player


def publish(player: Player, message: str) -> float:
    """Let it publish; return the instant just before."""
    player.say(message)
    begun: float = player.hear()
    return begun


@pytest.mark.parametrize("how", ["file", "notify"])
async def test_another_process_wakes_at_once(how: str, tmp_path: Path, backends: Backends) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}" if how == "file" else url_of("pg-asyncpg", backends)
    took: list[float] = []
    async with AsyncSQLBroker(url) as broker:
        with another_process(url) as process:
            for n in range(5):
                async with waiting(broker) as task:
                    begun = await asyncio.to_thread(publish, process, f"id-{n}")
                    await task
                    took.append(time.time() - begun)
    assert min(took) < 0.2, took  # looking once a second, it would be a matter of luck
    assert sorted(took)[2] < 0.3, took


async def test_a_transaction_does_not_wait(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    async with AsyncSQLAdapters(url) as adapters, adapters.transaction() as tx:
        with pytest.raises(ConfigurationError, match="cannot wait"):
            await tx.broker.claim_blocking("queue", "me", MINUTE, LONG)
        with pytest.raises(ConfigurationError, match="cannot wait"):
            await tx.broker.subscribe("news", print)
