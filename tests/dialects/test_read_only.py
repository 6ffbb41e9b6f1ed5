"""A server that lets nobody write any more, and keeps its connections open, is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from oqron_sql import SQLStore, new_job
from oqron_sql.dialects import proving
from oqron_sql.errors import StoreUnavailable
from oqron_sql.queries.tx import Tx
from oqron_sql.shell import ATTEMPTS
from tests import servers
from tests.conftest import installed
from tests.servers import PASSWORD, Server

QUEUE = "q"
LEASE = timedelta(seconds=30)


@pytest.fixture
def store(postgresql: Server) -> Iterator[SQLStore]:
    with SQLStore(postgresql.url("psycopg"), prefix="read_only_") as store:
        yield store


def session(store: SQLStore) -> int:
    """Return the number of the session that the store has in hand."""
    asked = "SELECT pg_backend_pid()"
    return int(store.run(lambda tx: tx.conn.exec_driver_sql(asked).scalar_one()))


def demote(store: SQLStore) -> int:
    """Let that session be as those of a server are that became read-only."""
    change = "SET default_transaction_read_only = on"
    store.run(lambda tx: tx.conn.exec_driver_sql(change).close())
    return session(store)


def test_a_statement_leaves_it(store: SQLStore) -> None:
    store.save_job(QUEUE, new_job(QUEUE, "one"))
    before = demote(store)
    with pytest.raises(StoreUnavailable):
        store.fetch_next_job(QUEUE, "me", LEASE)
    assert session(store) != before
    assert store.fetch_next_job(QUEUE, "me", LEASE)


def test_a_transaction_leaves_it(store: SQLStore) -> None:
    """It does not insist on writing: what is acknowledged there is nowhere else."""
    before = demote(store)
    with pytest.raises(StoreUnavailable), store.transaction() as mine:
        mine.save_job(QUEUE, new_job(QUEUE, "one"))
    assert session(store) != before


def test_whoever_only_reads_leaves_it(store: SQLStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = demote(store)
    store.get_job_counts(QUEUE)
    assert session(store) == before
    monkeypatch.setattr(proving, "PROVEN_FOR", 0.0)
    store.get_job_counts(QUEUE)
    assert session(store) != before


def test_an_idle_worker_leaves_it(store: SQLStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its look tells where it is, and costs no other question."""
    monkeypatch.setattr(proving, "PROVEN_FOR", 3600.0)
    before = demote(store)
    store.get_outlook(QUEUE)
    assert session(store) != before


def test_more_stale_connections_than_attempts_are_left_at_once(
    store: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a session of the server that was demoted; a new one leads to the primary."""
    monkeypatch.setattr(proving, "PROVEN_FOR", 3600.0)
    together = threading.Barrier(ATTEMPTS + 1)

    def pooled(tx: Tx) -> None:
        tx.conn.exec_driver_sql("SET default_transaction_read_only = on").close()
        together.wait(30)

    with ThreadPoolExecutor(ATTEMPTS + 1) as threads:
        for each in [threads.submit(store.run, pooled) for _ in range(ATTEMPTS + 1)]:
            each.result()
    monkeypatch.setattr(proving, "PROVEN_FOR", 0.0)
    assert store.save_job(QUEUE, new_job(QUEUE, "one"))


def test_mariadb_is_left() -> None:
    """Even by a claim that would find nothing, and by whoever only reads."""
    with installed(), servers.mariadb() as server:
        url = server.url("pymysql").replace(f"root:{PASSWORD}@", "plain@")
        with SQLStore(server.url("pymysql")) as root:

            def run(statement: str) -> None:
                root.run(lambda tx: tx.conn.exec_driver_sql(statement).close())

            run("CREATE USER plain@127.0.0.1")
            run("GRANT ALL ON test.* TO plain@127.0.0.1")
            with SQLStore(url) as store:
                assert store.fetch_jobs(QUEUE, "me", LEASE, 1) == []
                run("SET GLOBAL read_only = ON")
                with pytest.raises(StoreUnavailable):
                    store.fetch_jobs(QUEUE, "me", LEASE, 1)
                store.get_outlook(QUEUE)  # which sees it
                with pytest.raises(StoreUnavailable):
                    store.get_outlook(QUEUE)
                run("SET GLOBAL read_only = OFF")
                store.get_outlook(QUEUE)
                assert store.fetch_jobs(QUEUE, "me", LEASE, 1) == []
