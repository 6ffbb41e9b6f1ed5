"""The `alembic` command in a checkout: up, down, to a file, and without telling a password."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import shutil
import traceback
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import CommandLine, Config

from oqron_sql import migrate
from oqron_sql.schema.revisions import HEAD
from oqron_sql.schema.tables import tables
from tests.migrations.conftest import Connect
from tests.migrations.targets import Target

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass
class Done:
    """A command that has been run, and what it wrote, tracebacks included."""

    failed: bool
    text: str


def alembic(*arguments: str, url: sa.URL | None = None, ini: Path = ROOT / "alembic.ini") -> Done:
    given = ["-x", f"url={url.render_as_string(hide_password=False)}"] if url else []
    written = io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
        try:
            command = CommandLine("alembic")
            options = command.parser.parse_args([*given, *arguments])
            command.run_cmd(Config(str(ini), cmd_opts=options, stdout=written), options)
        except SystemExit:
            return Done(failed=True, text=written.getvalue())
        except Exception:  # noqa: BLE001 - as the interpreter would
            return Done(failed=True, text=written.getvalue() + traceback.format_exc())
    return Done(failed=False, text=written.getvalue())


def succeeds(done: Done) -> str:
    assert not done.failed, done.text
    return done.text


@pytest.mark.parametrize("driver", ["blocking", "asynchronous"])
def test_up_check_and_down(target: Target, engine: sa.Engine, driver: str) -> None:
    url = engine.url if driver == "blocking" else target.asynchronous(engine.url)
    assert "not up to date" in alembic("check", url=url).text
    succeeds(alembic("upgrade", "head", url=url))
    assert HEAD in succeeds(alembic("current", url=url))
    assert "No new upgrade operations" in succeeds(alembic("check", url=url))
    migrate.check(engine)
    succeeds(alembic("downgrade", "base", url=url))
    assert target.describe(engine) == {}


def test_a_prefix_a_schema_and_the_url_of_the_environment(
    target: Target, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = None if target.name == "sqlite" else f"{engine.url.database}_x"
    more = ["-x", "prefix=mine_"]
    if schema:
        more += ["-x", f"schema={schema}"]
        with engine.begin() as conn:
            conn.execute(sa.schema.CreateSchema(schema))
    monkeypatch.setenv("OQRON_URL", engine.url.render_as_string(hide_password=False))
    succeeds(alembic(*more, "upgrade", "head"))
    assert "No new upgrade operations" in succeeds(alembic(*more, "check"))
    migrate.check(engine, prefix="mine_", schema=schema)
    assert migrate.current(engine) is None


@pytest.mark.parametrize("driver", ["blocking", "asynchronous"])
def test_what_is_written_to_a_file_makes_the_same_tables(
    target: Target, engine: sa.Engine, connect: Connect, driver: str
) -> None:
    url = target.offline(engine.url) if driver == "blocking" else target.offline_async(engine.url)
    script = succeeds(alembic("upgrade", "head", "--sql", url=url))
    target.feed(engine.url, script)
    migrate.check(engine)
    expected = connect(target.fresh())
    tables().metadata.create_all(expected)
    assert target.describe(engine) == target.describe(expected)

    script = succeeds(alembic("downgrade", f"{HEAD}:base", "--sql", url=url))
    target.feed(engine.url, script)
    assert target.describe(engine) == {}
    assert migrate.current(engine) is None


def test_mysql_gets_its_own_collation() -> None:
    url = sa.make_url("mysql+pymysql://nobody@127.0.0.1/nothing")
    script = succeeds(alembic("upgrade", "head", "--sql", url=url))
    assert "utf8mb4_0900_bin" in script
    assert "nopad" not in script


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "postgresql+asyncpg", "mysql+pymysql"])
def test_no_password_is_told(driver: str) -> None:
    url = sa.URL.create(driver, "me", "se%cr@et", "127.0.0.1", 1, "nothing")
    secrets = "se%cr@et", "se%25cr%40et"
    for command in (["upgrade", "head"], ["current", "-v"]):
        done = alembic(*command, url=url)
        assert done.failed
        assert not any(secret in done.text for secret in secrets)
    assert not any(secret in succeeds(alembic("heads", "-v", url=url)) for secret in secrets)


def test_without_a_url_it_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OQRON_URL", raising=False)
    done = alembic("upgrade", "head")
    assert done.failed
    assert "OQRON_URL" in done.text
    assert "Traceback" not in done.text


def test_a_url_of_a_database_by_another_name_is_told_its_own() -> None:
    done = alembic("upgrade", "head", url=sa.make_url("postgres://me@host/shop"))
    assert done.failed
    assert "write postgresql:// in place of postgres://" in done.text
    assert "Traceback" not in done.text


def test_a_new_revision_starts_from_the_pattern(tmp_path: Path) -> None:
    copied = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", copied)
    ini = Path(shutil.copy(ROOT / "alembic.ini", tmp_path))
    succeeds(alembic("revision", "--rev-id", "oqron9999", "-m", "more", ini=ini))
    text = (copied / "versions" / "oqron9999_more.py").read_text()
    assert f"down_revision = {HEAD!r}" in text
    url = sa.make_url(f"sqlite:///{tmp_path / 'new.db'}")
    succeeds(alembic("upgrade", "head", url=url, ini=ini))
    assert "oqron9999" in succeeds(alembic("current", url=url, ini=ini))
