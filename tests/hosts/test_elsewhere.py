"""Used from another event loop, after a fork, or closed underneath: it works or says why not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from oqron_sql import AsyncSQLStore, JobState, SQLStore
from oqron_sql.adapters.sql import SQLBroker
from oqron_sql.contract.topics import topic
from oqron_sql.errors import ConfigurationError, StoreClosed
from oqron_sql.notify import Notifier
from tests.backends import BACKENDS, Backends
from tests.conftest import installed
from tests.hosts.hosts import Host, Transaction, settled
from tests.hosts.methods import MINUTE, QUEUE, job

AWAITED = ("aiosqlite", "pg-asyncpg", "pg-psycopg", "maria-asyncmy")
BLOCKING = ("sqlite", "pg-psycopg-blocking", "maria-pymysql")
PATIENCE = 10
pytestmark = [
    pytest.mark.timeout(3 * PATIENCE),
    # Connections of a loop that is over, or of another process, can only be left as they are.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def left_behind() -> Iterator[None]:
    """Let go of what is left here, not in a test that has nothing to do with it."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture
def url(name: str, backends: Backends) -> str:
    with installed():
        return backends.database(BACKENDS[name]).url


def elsewhere(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` in an event loop of its own."""
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


async def save(store: AsyncSQLStore) -> None:
    await asyncio.gather(*(store.save_job(QUEUE, job()) for _ in range(5)))


async def connect_and_save(store: AsyncSQLStore) -> None:
    await store.connect()
    await save(store)


@pytest.mark.parametrize("name", AWAITED)
def test_connections_of_another_loop_are_refused(url: str) -> None:
    store = AsyncSQLStore(url)
    elsewhere(connect_and_save(store))
    for work in (save, connect_and_save):
        with pytest.raises(ConfigurationError, match="another event loop"):
            elsewhere(work(store))
    elsewhere(store.disconnect())
    elsewhere(connect_and_save(store))

    engine = create_async_engine(url)
    host = AsyncSQLStore(engine)
    elsewhere(connect_and_save(host))
    with pytest.raises(ConfigurationError, match="another event loop"):
        elsewhere(save(host))
    engine.sync_engine.dispose(close=False)
    elsewhere(save(host))


@pytest.mark.parametrize("name", AWAITED)
def test_a_host_that_keeps_no_connections_may_go_anywhere(url: str) -> None:
    kept, disposed = create_async_engine(url, poolclass=sa.NullPool), create_async_engine(url)

    async def work_and_dispose() -> None:
        await connect_and_save(AsyncSQLStore(disposed))
        await disposed.dispose()

    store = AsyncSQLStore(kept)
    elsewhere(store.connect())
    for _ in range(2):
        elsewhere(save(store))
        elsewhere(work_and_dispose())


@pytest.mark.parametrize("name", ["sqlite-thread", "maria-pymysql-thread"])
def test_a_blocking_driver_serves_many_loops_at_once(url: str) -> None:
    store = AsyncSQLStore(url)
    elsewhere(store.connect())
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: elsewhere(save(store)), range(4)))
    assert elsewhere(store.count_jobs(QUEUE, JobState.WAITING)) == 20
    elsewhere(store.disconnect())


def forked(work: Callable[[], object]) -> str:
    """Do `work` in a process forked from this one; return what came of it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE)  # whatever hangs is killed
        try:
            said = f"{work()}"
        except BaseException as error:  # noqa: BLE001 - the parent looks at it
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    return said or f"killed: {status}"


@pytest.mark.parametrize("name", BLOCKING)
def test_a_store_of_its_own_works_in_a_forked_process(url: str) -> None:
    with SQLStore(url) as store:
        for _ in range(3):
            store.save_job(QUEUE, job())
            child = forked(lambda: [store.save_job(QUEUE, job()) for _ in range(3)])
            assert child.startswith("["), child
        assert store.count_jobs(QUEUE, JobState.WAITING) == 12


@pytest.mark.parametrize("name", BLOCKING)
def test_a_hosts_engine_must_be_disposed_of_in_a_forked_process(url: str) -> None:
    engine = sa.create_engine(url)
    store = SQLStore(engine)
    store.connect()
    assert "dispose(close=False)" in forked(lambda: store.save_job(QUEUE, job()))

    def dispose_first() -> int:
        engine.dispose(close=False)
        store.save_job(QUEUE, job())
        return store.count_jobs(QUEUE, JobState.WAITING)

    assert forked(dispose_first) == "1"
    assert store.count_jobs(QUEUE, JobState.WAITING) == 1
    unpooled = SQLStore(sa.create_engine(url, poolclass=sa.NullPool))
    unpooled.connect()
    assert forked(lambda: unpooled.count_jobs(QUEUE, JobState.WAITING)) == "1"
    untouched = SQLStore(sa.create_engine(url))
    assert forked(untouched.connect) == "None"
    engine.dispose()


@pytest.mark.parametrize("name", [*AWAITED, "sqlite-thread", "maria-pymysql-thread"])
def test_an_awaiting_store_works_in_a_forked_process(url: str) -> None:
    store = AsyncSQLStore(url)
    with asyncio.Runner() as runner:
        runner.run(connect_and_save(store))
        assert forked(lambda: elsewhere(save(store))) == "None"
        assert runner.run(store.count_jobs(QUEUE, JobState.WAITING)) == 10
        runner.run(store.disconnect())


@pytest.mark.parametrize("name", ["sqlite", "pg-psycopg-blocking"])
def test_a_forked_process_is_woken_by_itself(url: str) -> None:
    """Not by the thread that listened before, which is in the other process."""
    with SQLBroker(url) as broker, ThreadPoolExecutor(1) as threads:
        notifier = broker.store.notifier
        broker.publish(QUEUE, "first")
        assert broker.claim_blocking(QUEUE, "me", MINUTE, MINUTE)
        with notifier.bell(topic("broker", QUEUE)):
            until_it_listens(notifier)
        ready, started = os.pipe()

        def publish() -> None:
            os.read(ready, 1)
            broker.publish(QUEUE, "second")

        def wait() -> bool:
            with notifier.bell(topic("broker", QUEUE)) as bell:
                until_it_listens(notifier)
                bell.wait(0)  # it rings once when it begins to listen
                os.write(started, b"x")
                begun = time.monotonic()
                bell.wait(PATIENCE / 2)
                return time.monotonic() - begun < PATIENCE / 2

        published = threads.submit(publish)
        assert forked(wait) == "True"
        published.result(PATIENCE)
        os.close(ready)
        os.close(started)


def until_it_listens(notifier: Notifier) -> None:
    listener, end = notifier._listener, time.monotonic() + PATIENCE
    while listener is not None and not listener.listening:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_database_in_memory_stays_behind() -> None:
    with SQLStore("sqlite://") as store:
        assert "no connection of its own" in forked(lambda: store.list_queues())
        assert store.list_queues() == []


async def test_an_engine_disposed_of_underneath_is_opened_again(host: Host) -> None:
    await host.store.save_job(QUEUE, job())
    await settled(host.engine.dispose())
    assert await host.store.count_jobs(QUEUE, JobState.WAITING) == 1
    async with host.begin() as tx:
        await tx.store.save_job(QUEUE, job())
        await settled(host.engine.dispose())
        await tx.commit()
    assert await host.store.count_jobs(QUEUE, JobState.WAITING) == 2
    await host.store.disconnect()
    with pytest.raises(StoreClosed, match="after disconnect"):
        await host.store.save_job(QUEUE, job())


def test_an_engine_disposed_of_again_and_again_while_threads_use_it(typical: Host) -> None:
    done = threading.Event()

    def dispose() -> None:
        while not done.is_set():
            typical.sync_engine.dispose()

    disposing = threading.Thread(target=dispose)
    disposing.start()
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: typical.bare.save_job(QUEUE, job()), range(20)))
    finally:
        done.set()
        disposing.join(PATIENCE)
    assert typical.bare.count_jobs(QUEUE, JobState.WAITING) == 20


async def test_a_connection_closed_underneath_is_an_error(host: Host) -> None:
    async with host.begin("connection") as tx:
        await tx.handle.close()
        with pytest.raises((sa.exc.ResourceClosedError, ConfigurationError), match="closed"):
            await tx.store.save_job(QUEUE, job())
    with Session(host.eyes, close_resets_only=False) as session:
        store = Transaction(session, host.bare).store
    with pytest.raises(sa.exc.InvalidRequestError, match="closed"):
        await store.save_job(QUEUE, job())


@pytest.mark.parametrize("name", BLOCKING)
def test_a_transaction_is_left_to_the_process_that_began_it(url: str) -> None:
    """A forked process neither goes on with it nor ends it, however it leaves the block."""
    with SQLStore(url) as store:
        with contextlib.ExitStack() as block:
            joined = block.enter_context(store.transaction())
            joined.save_job(QUEUE, job())

            def leave_by_an_error() -> None:
                with block:
                    raise LookupError("mine")

            refused = "StoreClosed: the store was used in a forked process; "
            assert forked(lambda: joined.save_job(QUEUE, job())).startswith(refused)
            assert forked(block.close).startswith(refused)
            assert forked(leave_by_an_error) == "LookupError: mine"
            joined.save_job(QUEUE, job())
        assert store.count_jobs(QUEUE, JobState.WAITING) == 2


@pytest.mark.parametrize("name", ["sqlite"])
def test_a_transaction_that_cannot_begin_keeps_no_other_thread_waiting(url: str) -> None:
    engine = sa.create_engine(url)
    store = SQLStore(engine)
    store.connect()

    def refuse(_: sa.Connection) -> None:
        raise LookupError("not now")

    sa.event.listen(engine, "begin", refuse)
    with pytest.raises(LookupError), store.transaction():
        pass
    sa.event.remove(engine, "begin", refuse)
    other = threading.Thread(target=lambda: store.save_job(QUEUE, job()), daemon=True)
    other.start()
    other.join(PATIENCE)
    assert not other.is_alive()
    engine.dispose()
