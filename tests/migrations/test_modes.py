"""What `ensure` does in each of its modes, and what it refuses."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, migrate
from oqron_sql.errors import ConfigurationError, InvalidPrefix, SchemaOutOfDate
from oqron_sql.schema.revisions import HEAD
from tests.migrations.conftest import Connect
from tests.migrations.targets import Target

BAD_NAMES = ("", "Upper_", "a-b", "a b", "1a", "x" * 32, "a;drop", "a%", 'a"', "jobs.", None)


def pretend(engine: sa.Engine, revision: str | None) -> None:
    """Let the tables have another revision."""
    version = sa.table("oqron_alembic_version", sa.column("version_num"))
    with engine.begin() as conn:
        conn.execute(version.delete())
        if revision is not None:
            conn.execute(version.insert().values(version_num=revision))


def statements_of(engine: sa.Engine) -> list[str]:
    seen: list[str] = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        seen.append(statement)

    return seen


def test_auto_makes_the_tables(target: Target, engine: sa.Engine) -> None:
    migrate.ensure(engine)
    assert migrate.current(engine) == migrate.head() == HEAD
    migrate.check(engine)
    assert "oqron_jobs" in target.describe(engine)


async def test_the_first_connect_warns_of_nothing(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    """Drivers tell what a server warns of, for one that it ignores the name of a primary key."""
    async with AsyncSQLStore(target.asynchronous(target.fresh())):
        pass
    warned = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert warned == []


@pytest.mark.parametrize("mode", ["auto", "check"])
def test_tables_that_are_up_to_date_cost_one_select(engine: sa.Engine, mode: migrate.Mode) -> None:
    migrate.ensure(engine)
    seen = statements_of(engine)
    migrate.ensure(engine, mode=mode)
    assert len(seen) == 1
    assert seen[0].startswith("SELECT")


def test_alembic_is_not_imported_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    program = (
        "import sys, sqlalchemy; from oqron_sql import migrate\n"
        f"migrate.ensure(sqlalchemy.create_engine({url!r}))\n"
        "print('alembic' in sys.modules)"
    )
    told = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [done.stdout for done in told] == ["True\n", "False\n"]


def test_check_refuses_a_database_without_tables(target: Target, engine: sa.Engine) -> None:
    with pytest.raises(SchemaOutOfDate, match="no oqron_sql tables") as caught:
        migrate.ensure(engine, mode="check")
    assert (caught.value.current, caught.value.expected) == (None, HEAD)
    assert "alembic upgrade head" in caught.value.remedy
    assert target.describe(engine) == {}
    with pytest.raises(SchemaOutOfDate):
        migrate.check(engine)


def test_check_refuses_older_tables(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.ensure(engine)
    newer = (HEAD, "oqron9999")
    monkeypatch.setattr("oqron_sql.schema.revisions.REVISIONS", newer)
    monkeypatch.setattr("oqron_sql.migrate.HEAD", newer[-1])
    with pytest.raises(SchemaOutOfDate, match=f"revision '{HEAD}'.*needs 'oqron9999'"):
        migrate.ensure(engine, mode="check")


def test_a_version_table_without_a_row_means_no_tables(engine: sa.Engine) -> None:
    migrate.ensure(engine)
    pretend(engine, None)
    assert migrate.current(engine) is None
    with pytest.raises(SchemaOutOfDate):
        migrate.ensure(engine, mode="check")
    migrate.ensure(engine)
    migrate.check(engine)


@pytest.mark.parametrize("mode", ["auto", "check"])
def test_newer_tables_are_refused_by_name(
    target: Target, engine: sa.Engine, mode: migrate.Mode
) -> None:
    migrate.ensure(engine)
    pretend(engine, "oqron9999")
    before = target.describe(engine)
    calls: tuple[Callable[[], None], ...] = (
        lambda: migrate.ensure(engine, mode=mode),
        lambda: migrate.check(engine),
        lambda: migrate.upgrade(engine),
        lambda: migrate.downgrade(engine),
    )
    for call in calls:
        with pytest.raises(SchemaOutOfDate, match=r"'oqron9999'.*upgrade this") as caught:
            call()
        assert caught.value.current == "oqron9999"
    assert target.describe(engine) == before


def test_up_to_a_revision_that_is_past_is_nothing_to_do(engine: sa.Engine) -> None:
    migrate.upgrade(engine, to=HEAD)
    seen = statements_of(engine)
    migrate.upgrade(engine, to=HEAD)
    migrate.downgrade(engine, to=HEAD)
    assert not any(statement.startswith(("CREATE", "DROP", "INSERT")) for statement in seen)
    migrate.check(engine)


def test_a_revision_that_does_not_exist_is_refused(target: Target, engine: sa.Engine) -> None:
    for move in (migrate.upgrade, migrate.downgrade):
        with pytest.raises(ConfigurationError, match="no revision 'oqron9999'"):
            move(engine, to="oqron9999")
    assert target.describe(engine) == {}


def test_off_looks_at_nothing(engine: sa.Engine) -> None:
    seen = statements_of(engine)
    migrate.ensure(engine, mode="off")
    assert seen == []


def test_other_modes_are_refused(engine: sa.Engine) -> None:
    assert get_args(migrate.Mode) == ("auto", "check", "off")
    mode: Any = "never"
    with pytest.raises(ConfigurationError, match="'never'"):
        migrate.ensure(engine, mode=mode)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_not_safe_are_refused(name: Any) -> None:
    engine = sa.create_engine("sqlite://")
    seen = statements_of(engine)
    for call in (migrate.ensure, migrate.upgrade, migrate.downgrade, migrate.check):
        with pytest.raises(InvalidPrefix):
            call(engine, prefix=name)
        if name is not None:
            with pytest.raises(InvalidPrefix):
                call(engine, schema=name)
    assert seen == []


def test_a_table_of_somebody_else_is_not_touched(target: Target, engine: sa.Engine) -> None:
    with engine.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE oqron_queues (name VARCHAR(20))")
    with pytest.raises(ConfigurationError, match=r"'oqron_queues'.*another prefix"):
        migrate.ensure(engine)
    if target.transactional:
        assert set(target.describe(engine)) == {"oqron_queues"}


def test_an_error_of_the_database_is_not_taken_for_missing_tables(engine: sa.Engine) -> None:
    migrate.ensure(engine)
    with engine.begin() as conn:
        conn.exec_driver_sql("DROP TABLE oqron_alembic_version")
        conn.exec_driver_sql("CREATE TABLE oqron_alembic_version (other INTEGER)")
    with pytest.raises(sa.exc.DBAPIError):
        migrate.ensure(engine)


@pytest.mark.parametrize("target", ["postgresql", "mariadb"], indirect=True)
class TestSchemas:
    """A schema, which on MariaDB is another database."""

    def test_tables_are_made_in_the_schema(
        self, target: Target, engine: sa.Engine, connect: Connect
    ) -> None:
        schema = f"{engine.url.database}_jobs"
        with engine.begin() as conn:
            conn.execute(sa.schema.CreateSchema(schema))
        migrate.ensure(engine, schema=schema)
        migrate.ensure(engine, schema=schema, mode="check")
        assert target.describe(engine) == {}
        assert migrate.current(engine) is None
        assert migrate.current(engine, schema=schema) == HEAD

        expected = connect(target.fresh())
        migrate.ensure(expected)
        made, plain = (
            repr(target.describe(engine, schema)),
            repr(target.describe(expected)),
        )
        assert made.replace(f"{schema}.", "") == plain.replace("public.", "")

        migrate.ensure(engine)
        migrate.downgrade(engine, schema=schema)
        assert target.describe(engine, schema) == {}
        migrate.check(engine)

    def test_a_schema_that_is_not_there_is_not_made(self, engine: sa.Engine) -> None:
        with pytest.raises(ConfigurationError, match="no schema 'nowhere'; create it"):
            migrate.ensure(engine, schema="nowhere")
        with pytest.raises(SchemaOutOfDate):
            migrate.ensure(engine, schema="nowhere", mode="check")
        assert not sa.inspect(engine).has_schema("nowhere")
