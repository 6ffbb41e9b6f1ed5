"""Reading, leasing and finishing inside the host's transaction."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from oqron_sql import AsyncSQLStore, Complete, FetchOptions, Job, JobState
from oqron_sql.contract import Group, RateLimit
from oqron_sql.errors import GroupFull, InvalidJobState, LeaseLost, QueueActive
from tests.hosts.conftest import MakeHost
from tests.hosts.hosts import NOTES, Host, Transaction
from tests.hosts.methods import MINUTE, QUEUE, job, seed


async def test_a_result_and_the_end_of_its_job_are_one_commit(host: Host) -> None:
    await host.store.save_job(QUEUE, job())
    leased: Job = await host.store.fetch_next_job(QUEUE, "me", MINUTE)
    for ending in ("rollback", "commit"):
        assert (await host.store.get_job(QUEUE, leased.id)).state is JobState.ACTIVE
        async with host.begin() as tx:
            await tx.note(1)
            (settled,) = await tx.store.finish_jobs(QUEUE, [Complete(leased, "done")])
            assert settled.state is JobState.COMPLETED
            await (tx.commit() if ending == "commit" else tx.rollback())
    assert host.notes() == [1]
    assert (await host.store.get_job(QUEUE, leased.id)).returnvalue == "done"
    async with host.begin() as tx:
        await tx.note(2)
        other = Job(name="job", queue_name=QUEUE, id=leased.id, seq=leased.seq, lease=9)
        (settled,) = await tx.store.finish_jobs(QUEUE, [Complete(other, "stale")])
        assert settled.lost
        await tx.rollback()
    assert host.notes() == [1]


async def test_a_whole_life_in_one_transaction(host: Host) -> None:
    async with host.begin() as tx:
        await tx.store.save_job(QUEUE, job())
        leased = await tx.store.fetch_next_job(QUEUE, "me", MINUTE)
        await tx.store.finish_jobs(QUEUE, [Complete(leased, "done")])
        assert await tx.store.count_jobs(QUEUE, JobState.COMPLETED) == 1
        await tx.note(1)
        await tx.commit()
    assert (await host.store.get_job(QUEUE, leased.id)).state is JobState.COMPLETED


async def test_what_is_refused_has_changed_nothing_even_if_the_host_goes_on(host: Host) -> None:
    seeded = await seed(host.store)
    before = host.dump()
    async with host.begin() as tx:
        await tx.note(1)
        for call in (
            tx.store.append_logs(QUEUE, seeded.active.id, ["late"], lease=9),
            tx.store.extend_lock(QUEUE, seeded.active.id, MINUTE, lease=9),
            tx.store.update_job(QUEUE, seeded.active.id, {"progress": 1}, lease=9),
            tx.store.release_lock(QUEUE, seeded.active.id, lease=9),
        ):
            with pytest.raises(LeaseLost):
                await call
        waiting: Any = {"expected_state": JobState.WAITING}
        with pytest.raises(InvalidJobState):
            await tx.store.update_job(QUEUE, seeded.active.id, {"progress": 1}, **waiting)
        with pytest.raises(QueueActive):
            await tx.store.obliterate(QUEUE)
        await tx.commit()
    assert host.dump() == {**before, "notes": [(1,)]}


class Reader:
    """A transaction that has read something before others changed it.

    MariaDB shows it the old state for as long as it lasts; its limits and leases are those of now
    all the same.
    """

    def __init__(self, host: Host, session: Session) -> None:
        session.execute(sa.select(NOTES)).all()
        self.store = Transaction(session, host.bare).store


limited = pytest.mark.parametrize(
    "limits",
    [
        FetchOptions(group_concurrency=1),
        FetchOptions(max_active=1),
        FetchOptions(rate_limit=RateLimit(max=1, duration=MINUTE)),
    ],
    ids=["group", "active", "rate"],
)


@limited
async def test_limits_hold_whatever_a_transaction_saw_before(
    typical: Host, limits: FetchOptions
) -> None:
    await typical.store.save_bulk(QUEUE, [job(name, group=Group(id="g")) for name in "abc"])
    later = dataclasses.replace(limits, job_name="b")
    with Session(typical.sync_engine) as session:
        reader = Reader(typical, session)
        (first,) = await typical.store.fetch_jobs(QUEUE, "somebody", MINUTE, 3, later)
        assert await reader.store.fetch_jobs(QUEUE, "me", MINUTE, 3, limits) == []
        session.commit()
    await typical.store.finish_jobs(QUEUE, [Complete(first)])


@limited
async def test_a_host_whose_snapshot_is_older_than_a_limit_is_told(
    make_host: MakeHost, limits: FetchOptions
) -> None:
    host = await make_host("pg-psycopg-blocking", isolation_level="REPEATABLE READ")
    await host.store.save_bulk(QUEUE, [job(name, group=Group(id="g")) for name in "abcd"])
    (known,) = await host.store.fetch_jobs(QUEUE, "somebody", MINUTE, 3, limits)
    await host.store.finish_jobs(QUEUE, [Complete(known)])
    if limits.rate_limit is not None:
        limits = FetchOptions(rate_limit=RateLimit(max=2, duration=MINUTE))
    with Session(host.sync_engine) as session:
        reader = Reader(host, session)
        assert len(await host.store.fetch_jobs(QUEUE, "somebody", MINUTE, 3, limits)) == 1
        with contextlib.suppress(sa.exc.OperationalError):  # it cannot be serialized
            assert await reader.store.fetch_jobs(QUEUE, "me", MINUTE, 3, limits) == []


async def test_a_group_is_full_whatever_a_transaction_saw_before(typical: Host) -> None:
    small = Group(id="g", max_size=1)
    with Session(typical.sync_engine) as session:
        reader = Reader(typical, session)
        given = job(group=small)
        await typical.store.save_job(QUEUE, given)
        with pytest.raises(GroupFull):
            await reader.store.save_job(QUEUE, job(group=small))
        assert await reader.store.save_job(QUEUE, given) == given.id
        session.commit()
    assert await typical.store.get_waiting_group_count(QUEUE, "g") == 1


async def test_leases_are_those_of_now_whatever_a_transaction_saw_before(typical: Host) -> None:
    await typical.store.save_job(QUEUE, job())
    leased = await typical.store.fetch_next_job(QUEUE, "me", MINUTE)
    with Session(typical.sync_engine) as session:
        reader = Reader(typical, session)
        await typical.store.release_lock(QUEUE, leased.id)
        (extension,) = await reader.store.extend_locks(QUEUE, [leased], MINUTE)
        assert extension.lost
        with pytest.raises(LeaseLost):
            await reader.store.update_job(QUEUE, leased.id, {"progress": 50}, lease=leased.lease)
        with pytest.raises(LeaseLost):
            await reader.store.append_logs(QUEUE, leased.id, ["late"], lease=leased.lease)
        session.commit()


async def test_a_job_that_is_there_stands_for_a_second_one(typical: Host) -> None:
    await typical.store.save_job(QUEUE, job("another"))
    given = job()
    with Session(typical.sync_engine) as session:
        reader = Reader(typical, session)
        await typical.store.save_job(QUEUE, given)
        assert await reader.store.save_job(QUEUE, given) == given.id
        assert await reader.store.save_bulk(QUEUE, [given, job()]) != []
        session.commit()
        assert await reader.store.save_bulk(QUEUE, [given, job()]) != []  # as the first thing
        session.commit()
    assert await typical.store.count_jobs(QUEUE, JobState.WAITING) == 4


async def test_a_host_whose_snapshot_is_older_than_a_group_is_told(make_host: MakeHost) -> None:
    host = await make_host("pg-psycopg-blocking", isolation_level="REPEATABLE READ")
    small = Group(id="g", max_size=1)
    await host.store.remove_job(QUEUE, await host.store.save_job(QUEUE, job(group=small)))
    with Session(host.sync_engine) as session:
        reader = Reader(host, session)
        await host.store.save_job(QUEUE, job(group=small))
        with pytest.raises(sa.exc.OperationalError) as caught:
            await reader.store.save_job(QUEUE, job(group=small))
        assert getattr(caught.value.orig, "sqlstate", "") == "40001"


async def test_a_serializable_host_gets_the_error_that_it_must_expect(make_host: MakeHost) -> None:
    host = await make_host("pg-psycopg-blocking", isolation_level="SERIALIZABLE")
    await host.store.save_job(QUEUE, job())
    with Session(host.sync_engine) as session:
        reader = Reader(host, session)
        leased = await host.store.fetch_next_job(QUEUE, "somebody", MINUTE)
        with pytest.raises(sa.exc.OperationalError) as caught:
            await reader.store.update_job(QUEUE, leased.id, {"progress": 50})
        assert caught.value.orig is not None
        assert getattr(caught.value.orig, "sqlstate", "") == "40001"


async def test_a_blocking_session_in_an_asyncio_application(typical: Host) -> None:
    async with AsyncSQLStore(typical.engine, migrate="off") as store:
        with Session(typical.sync_engine) as session:
            await store.using(session).save_job(QUEUE, job())
            session.rollback()
            given = job()
            await store.using(session).save_job(QUEUE, given)
            session.commit()
        assert (await store.fetch_next_job(QUEUE, "me", MINUTE)).id == given.id  # type: ignore[union-attr]  # it is there
