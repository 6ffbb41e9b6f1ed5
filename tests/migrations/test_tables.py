"""What the revisions make is what the code expects, up and down, under any name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from oqron_sql import migrate
from oqron_sql.schema.revisions import HEAD, REVISIONS, directory
from oqron_sql.schema.tables import tables
from tests.migrations.conftest import Connect
from tests.migrations.targets import Target

PREFIXES = ("oqron_", "a_", "a_jobs_")


def test_the_revisions_known_without_alembic_are_those_of_the_folder() -> None:
    script = ScriptDirectory(directory())
    found = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS
    assert script.get_heads() == [HEAD]
    assert all(len(revision) <= 32 for revision in REVISIONS)


def test_revisions_make_exactly_the_tables_of_the_code(
    target: Target, engine: sa.Engine, connect: Connect
) -> None:
    migrate.upgrade(engine)
    expected = connect(target.fresh())
    tables().metadata.create_all(expected)
    made = target.describe(engine)
    assert made == target.describe(expected)
    assert set(made) == {table.name for table in tables().metadata.tables.values()}


def test_alembic_sees_no_difference_either(engine: sa.Engine) -> None:
    migrate.upgrade(engine)
    with engine.connect() as conn:
        options = {
            "version_table": "oqron_alembic_version",
            "compare_type": True,
            "compare_server_default": True,
        }
        context = MigrationContext.configure(conn, opts=options)
        assert compare_metadata(context, tables().metadata) == []


def test_up_down_and_up_again(target: Target, engine: sa.Engine) -> None:
    migrate.upgrade(engine)
    once = target.describe(engine)
    migrate.downgrade(engine)
    assert target.describe(engine) == {}
    assert migrate.current(engine) is None
    migrate.downgrade(engine)
    migrate.upgrade(engine)
    assert target.describe(engine) == once
    assert migrate.current(engine) == HEAD


def test_three_prefixes_side_by_side(target: Target, engine: sa.Engine, connect: Connect) -> None:
    for prefix in PREFIXES:
        migrate.ensure(engine, prefix=prefix)
    expected = connect(target.fresh())
    for prefix in PREFIXES:
        tables(prefix).metadata.create_all(expected)
    assert target.describe(engine) == target.describe(expected)

    migrate.downgrade(engine, prefix="a_")
    found = [migrate.current(engine, prefix=prefix) for prefix in PREFIXES]
    assert found == [HEAD, None, HEAD]
    assert not tables("a_").metadata.tables.keys() & target.describe(engine).keys()
