"""A queue adds jobs in the host's transaction, and tells nobody before its commit."""

from __future__ import annotations

from typing import Any

import pytest

from oqron_sql import BlockingQueue, JobState, MemoryStore, Queue
from oqron_sql.contract import Group, StoreEvent
from oqron_sql.errors import ConfigurationError, GroupFull
from tests.hosts.conftest import MakeHost
from tests.hosts.hosts import BEGINNING, KINDS, Either, Host, Transaction
from tests.hosts.methods import MINUTE, QUEUE
from tests.hosts.test_events import prepare

kinds = pytest.mark.parametrize("kind", KINDS)


class Application:
    """A queue of the host, and what others hear of it."""

    def __init__(self, host: Host) -> None:
        made: Any = (BlockingQueue if host.backend.blocking else Queue)(QUEUE, host.bare)
        self.queue = Either(made)
        self.store = host.store
        self.told: list[str | None] = []
        host.bare.subscribe(QUEUE, self._hear)

    def _hear(self, event: StoreEvent) -> None:
        self.told.append(event.job_id)

    async def add(self, tx: Transaction, name: str, **options: Any) -> str:
        """Add a job in the transaction; nobody hears of it yet."""
        before = list(self.told)
        handle = await self.queue.add(name, {"to": "ada"}, session=tx.handle.target, **options)
        assert self.told == before
        job_id: str = handle.id
        return job_id

    async def run_all(self) -> list[str]:
        """Return the names of the jobs that a worker gets."""
        return [job.name for job in await self.store.fetch_jobs(QUEUE, "me", MINUTE, 50)]


@kinds
async def test_what_is_committed_runs_and_what_is_rolled_back_never_does(
    host: Host, kind: str
) -> None:
    app = Application(host)
    async with host.begin(kind) as tx:
        await tx.note(1)
        await app.add(tx, "undone")
        await app.queue.add_bulk([("undone too", None)], session=tx.handle.target)
        await app.queue.schedule(5, "undone later", session=tx.handle.target)
        await tx.rollback()
        await tx.note(2)
        kept = [await app.add(tx, "kept", priority=1)]
        (second,) = await app.queue.add_bulk(
            [("kept too", None)], session=tx.handle.target, priority=2
        )
        await tx.commit()
    async with host.begin(kind) as tx:
        await tx.note(3)
        await app.add(tx, "let go of")  # the host closes its session without a word
    kept.append(second.id)
    assert app.told == kept
    assert await app.run_all() == ["kept", "kept too"]
    assert host.notes() == [2]
    assert await app.queue.counts() == {state: 2 * (state == "active") for state in JobState}


@kinds
async def test_savepoints(host_name: str, make_host: MakeHost, kind: str) -> None:
    host = await make_host(host_name, **(BEGINNING if host_name.endswith("sqlite") else {}))
    app = Application(host)
    async with host.begin(kind) as tx:
        await tx.note(1)
        first = await app.add(tx, "first", priority=1)
        async with tx.nested() as undone:
            await app.add(tx, "undone")
            async with tx.nested():
                await app.add(tx, "released inside of it")
            await undone.rollback()
        async with tx.nested():
            second = await app.add(tx, "second", priority=2)
        await tx.commit()
    assert app.told == [first, second]
    assert await app.run_all() == ["first", "second"]


@pytest.mark.parametrize("ending", ["prepare and commit", "prepare and roll back"])
async def test_two_phases(served: Host, ending: str) -> None:
    app = Application(served)
    async with served.begin("session", twophase=True) as tx:
        await tx.note(1)
        added = await app.add(tx, "job")
        await prepare(tx)
        assert app.told == []
        assert await app.run_all() == []
        await (tx.commit() if ending.endswith("commit") else tx.rollback())
    committed = ending.endswith("commit")
    assert app.told == ([added] if committed else [])
    assert await app.run_all() == (["job"] if committed else [])


async def test_a_refusal_leaves_the_transaction_as_it_was(typical: Host) -> None:
    app = Application(typical)
    async with typical.begin() as tx:
        await tx.note(1)
        await app.add(tx, "one", group=Group(id="g", max_size=1))
        with pytest.raises(GroupFull):
            await app.add(tx, "two", group=Group(id="g", max_size=1))
        await tx.commit()
    assert await app.run_all() == ["one"]
    assert len(app.told) == 1


def test_a_store_without_transactions_says_so() -> None:
    queue = BlockingQueue(QUEUE, MemoryStore())
    with pytest.raises(ConfigurationError, match="cannot join a transaction"):
        queue.add("job", session=object())
