"""Events go out after the host's COMMIT, and only those of what was committed."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from oqron_sql.contract import StoreEvent
from tests.hosts.conftest import MakeHost
from tests.hosts.hosts import BEGINNING, KINDS, SERVED, Host, Transaction
from tests.hosts.methods import QUEUE

kinds = pytest.mark.parametrize("kind", KINDS)


class Listener:
    """Notes which events came, and what others could see of the host's rows by then."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.told: list[str | None] = []
        self.visible: list[list[int]] = []
        host.bare.subscribe(QUEUE, self.hear)

    def hear(self, event: StoreEvent) -> None:
        self.told.append(event.job_id)
        self.visible.append(self._host.notes())


@kinds
async def test_events_wait_for_the_commit(host: Host, kind: str) -> None:
    listener = Listener(host)
    async with host.begin(kind) as tx:
        for n in (1, 2):
            await tx.note(n)
            await tx.emit(f"a{n}")
            await tx.emit(f"b{n}")
            assert len(listener.told) == 2 * (n - 1)
            await tx.commit()
    assert listener.told == ["a1", "b1", "a2", "b2"]
    assert listener.visible == [[1], [1], [1, 2], [1, 2]]


@kinds
async def test_a_rollback_tells_nothing(host: Host, kind: str) -> None:
    listener = Listener(host)
    async with host.begin(kind) as tx:
        await tx.note(1)
        await tx.emit("never")
        await tx.rollback()
        await tx.note(1)
        await tx.commit()
    async with host.begin(kind) as tx:
        await tx.note(2)
        await tx.emit("nor this")  # the host lets go of it without a word
    async with host.begin(kind) as tx:
        await tx.note(3)
        await tx.emit("this")
        await tx.commit()
    assert listener.told == ["this"]


@kinds
async def test_savepoints(host_name: str, make_host: MakeHost, kind: str) -> None:
    host = await make_host(host_name, **(BEGINNING if host_name.endswith("sqlite") else {}))
    listener = Listener(host)
    async with host.begin(kind) as tx:
        async with tx.nested() as first:
            await tx.emit("in one that was there before")
            await first.rollback()
        await tx.note(1)
        await tx.emit("a")
        async with tx.nested() as undone:
            await tx.emit("undone")
            async with tx.nested():
                await tx.emit("released inside of it")
            await undone.rollback()
        async with tx.nested():
            await tx.emit("b")
            async with tx.nested() as inner:
                await tx.emit("undone inside")
                await inner.rollback()
            await tx.emit("c")
        await tx.store.pause_job_name(QUEUE, "kept")
        async with tx.nested() as undone:
            await tx.store.pause_job_name(QUEUE, "undone")
            await undone.rollback()
        assert listener.told == []
        await tx.commit()
    assert listener.told == ["a", "b", "c"]
    assert await host.store.get_paused_job_names(QUEUE) == ["kept"]


@pytest.mark.parametrize("ending", ["commit", "prepare and commit", "rollback", "close"])
async def test_two_phases(served: Host, ending: str) -> None:
    host = served
    listener = Listener(host)
    async with host.begin("session", twophase=True) as tx:
        await tx.note(1)
        await tx.store.pause_job_name(QUEUE, "kept")
        await tx.emit("a")
        if ending.startswith("prepare"):
            await prepare(tx)
            assert listener.told == []
        if ending.endswith("commit"):
            await tx.commit()
        elif ending == "rollback":
            await tx.rollback()
    committed = ending.endswith("commit")
    assert listener.told == (["a"] if committed else [])
    assert all(rows == [1] for rows in listener.visible)
    assert host.notes() == ([1] if committed else [])
    assert await host.store.get_paused_job_names(QUEUE) == (["kept"] if committed else [])


async def prepare(tx: Transaction) -> None:
    session: Any = tx.handle.target
    if isinstance(session, Session):
        session.prepare()
    else:
        await session.run_sync(Session.prepare)


@pytest.mark.parametrize("name", [name for name in SERVED if name.startswith("pg")])
async def test_a_commit_that_fails_tells_nothing(make_host: MakeHost, name: str) -> None:
    """As a deferred constraint makes it fail, or a serialization failure."""
    host = await make_host(name)
    listener = Listener(host)
    pairs = "CREATE TABLE pairs (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)"
    with host.eyes.begin() as conn:
        conn.exec_driver_sql(pairs)
    try:
        async with host.begin() as tx:
            await tx.handle.execute(sa.text("INSERT INTO pairs VALUES (1), (1)"))
            await tx.emit("never")
            with pytest.raises(sa.exc.IntegrityError):
                await tx.commit()
            await tx.rollback()
            await tx.emit("later")
            await tx.commit()
    finally:
        with host.eyes.begin() as conn:
            conn.exec_driver_sql("DROP TABLE pairs")
    assert listener.told == ["later"]


async def test_a_session_inside_somebody_elses_transaction_decides_nothing(typical: Host) -> None:
    """As a suite of tests does it, which rolls everything back in the end."""
    listener = Listener(typical)
    for outcome in ("rollback", "commit"):
        with typical.sync_engine.connect() as conn, conn.begin() as outer:
            with Session(conn, join_transaction_mode="rollback_only") as session:
                tx = Transaction(session, typical.bare)
                await tx.emit(outcome)
                session.commit()
            assert listener.told == []
            getattr(outer, outcome)()
    assert listener.told == ["commit"]


async def test_two_stores_in_one_transaction(typical: Host) -> None:
    listener = Listener(typical)
    other = typical.store_on(typical.engine, prefix="other_")
    heard: list[StoreEvent] = []
    other.subscribe(QUEUE, heard.append)
    with Session(typical.sync_engine) as session:
        await Transaction(session, typical.bare).emit("first")
        await Transaction(session, other).emit("second")
        await Transaction(session, typical.bare).emit("third")
        session.commit()
    assert listener.told == ["first", "third"]
    assert [event.job_id for event in heard] == ["second"]
