"""A role that may change rows and nothing else runs an application; another one migrates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from oqron_sql.errors import SchemaOutOfDate
from tests.hosts.hosts import Either, Host, settled
from tests.hosts.methods import a_day
from tests.servers import PASSWORD

ROLE = "clerk"


@pytest.fixture
def grants(served: Host) -> Iterator[Host]:
    """A role with rights to the rows of the database, in addition to the host's own."""
    database = served.url.database
    if served.backend.server == "postgresql":
        made = [f"CREATE ROLE {ROLE} LOGIN"]
        given = [
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {ROLE}",
        ]
        undone = [f"DROP OWNED BY {ROLE}", f"DROP ROLE {ROLE}"]
    else:
        made = [f"CREATE USER {ROLE}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'"]
        given = [f"GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO {ROLE}@'127.0.0.1'"]
        undone = [f"DROP USER {ROLE}@'127.0.0.1'"]
    run(served.eyes, *made, *given)
    yield served
    run(served.eyes, *undone)


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)


async def test_a_role_without_ddl(grants: Host) -> None:
    url = grants.url.set(username=ROLE)
    engine = grants.create(url)
    for bind in (url, engine):
        store = grants.store_on(bind, migrate="check")
        await settled(store.connect())
        grants.restore({})
        await a_day(Either(store))
        await settled(store.disconnect())
    await settled(engine.dispose())
    with grants.eyes.connect() as conn:
        assert sa.inspect(conn).has_table("oqron_jobs")

    missing = grants.store_on(url, migrate="check", prefix="missing_")
    with pytest.raises(SchemaOutOfDate, match="no oqron_sql tables"):
        await settled(missing.connect())
    unwilling = grants.store_on(url, prefix="missing_")
    with pytest.raises(sa.exc.DBAPIError, match=r"denied"):
        await settled(unwilling.connect())
