"""Every method joins the host's transaction: it shows with its commit, and leaves nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql.errors import StoreUnavailable
from tests.hosts.conftest import MakeHost
from tests.hosts.hosts import KINDS, Host
from tests.hosts.methods import (
    FINDING_NOTHING,
    METHODS,
    MINUTE,
    OTHERS,
    QUEUE,
    READING,
    RETURNING_NOTHING,
    WRITING,
    declared,
    job,
    seed,
)

kinds = pytest.mark.parametrize("kind", KINDS)


def test_every_method_of_the_contract_is_called() -> None:
    assert set(METHODS) == declared() - OTHERS
    assert not READING.keys() & WRITING.keys()


def watch(conn: sa.Connection) -> list[str]:
    """Note what SQLAlchemy is told to do with the transaction of `conn`."""
    seen: list[str] = []
    for name in ("begin", "commit", "rollback", "set_connection_execution_options"):
        sa.event.listen(conn, name, lambda *_, name=name: seen.append(name))

    @sa.event.listens_for(conn, "before_cursor_execute")
    def note(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.split()[0] in ("BEGIN", "COMMIT", "ROLLBACK", "SET", "START", "PRAGMA"):
            seen.append(statement)

    return seen


def state(conn: sa.Connection) -> list[Any]:
    driver = conn.connection.dbapi_connection
    assert driver is not None
    return [
        dict(conn.get_execution_options()),
        conn.get_transaction(),
        conn.get_nested_transaction(),
        conn.dialect.detect_autocommit_setting(driver),
        sorted(conn.info),
    ]


@kinds
async def test_each_method_in_the_hosts_transaction(host: Host, kind: str) -> None:
    seeded = await seed(host.store)
    before = host.dump()
    for name, call in METHODS.items():
        async with host.begin(kind) as tx:
            await tx.note(1)
            conn = await tx.connection()
            untouched, seen = state(conn), watch(conn)
            found = await call(tx.store, seeded)
            assert name in FINDING_NOTHING | RETURNING_NOTHING or found, f"{name} found nothing"
            assert (seen, state(conn)) == ([], untouched), f"{name} touched the transaction"
            await tx.rollback()
        assert host.dump() == before, f"something of {name} is left after a rollback"
    for name in list(WRITING)[KINDS.index(kind) :: len(KINDS)]:
        async with host.begin(kind) as tx:
            await tx.note(1)
            await WRITING[name](tx.store, seeded)
            await tx.commit()
        after = host.dump()
        assert after["notes"] == [(1,)]
        assert after != {**before, "notes": [(1,)]}, f"{name} changed nothing"
        host.restore(before)


@kinds
async def test_a_job_that_is_not_committed_cannot_run(
    host_name: str, make_host: MakeHost, kind: str
) -> None:
    one_writer = host_name.endswith("sqlite")
    host = await make_host(host_name, **({"connect_args": {"timeout": 0}} if one_writer else {}))
    async with host.begin(kind) as tx:
        await tx.note(1)
        await tx.store.save_job(QUEUE, job("early"))
        try:
            assert await host.store.fetch_next_job(QUEUE, "me", MINUTE) is None
        except StoreUnavailable:
            assert one_writer
        await tx.commit()
    found = await host.store.fetch_next_job(QUEUE, "me", MINUTE)
    assert found.name == "early"
