"""The `alembic` command in a checkout: up, down, to a file, and without telling a password."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from oqron_sql import migrate
from oqron_sql.schema.revisions import HEAD
from oqron_sql.schema.tables import tables
from tests.migrations.conftest import Connect
from tests.migrations.targets import Target

ROOT = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]


def alembic(*arguments: str, url: sa.URL | None = None, **environment: str) -> Done:
    given = ["-x", f"url={url.render_as_string(hide_password=False)}"] if url else []
    surroundings = {name: value for name, value in os.environ.items() if name != "OQRON_URL"}
    return subprocess.run(
        [sys.executable, "-m", "alembic", *given, *arguments],
        cwd=ROOT,
        env={**surroundings, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def succeeds(done: Done) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("driver", ["blocking", "asynchronous"])
def test_up_check_and_down(target: Target, engine: sa.Engine, driver: str) -> None:
    url = engine.url if driver == "blocking" else target.asynchronous(engine.url)
    assert "not up to date" in alembic("check", url=url).stdout
    succeeds(alembic("upgrade", "head", url=url))
    assert HEAD in succeeds(alembic("current", url=url))
    assert "No new upgrade operations" in succeeds(alembic("check", url=url))
    migrate.check(engine)
    succeeds(alembic("downgrade", "base", url=url))
    assert target.describe(engine) == {}


def test_a_prefix_a_schema_and_the_url_of_the_environment(
    target: Target, engine: sa.Engine
) -> None:
    schema = None if target.name == "sqlite" else f"{engine.url.database}_x"
    more = ["-x", "prefix=mine_"]
    if schema:
        more += ["-x", f"schema={schema}"]
        with engine.begin() as conn:
            conn.execute(sa.schema.CreateSchema(schema))
    url = engine.url.render_as_string(hide_password=False)
    succeeds(alembic(*more, "upgrade", "head", OQRON_URL=url))
    assert "No new upgrade operations" in succeeds(alembic(*more, "check", OQRON_URL=url))
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
        assert done.returncode != 0
        assert not any(secret in done.stdout + done.stderr for secret in secrets)
    assert not any(secret in succeeds(alembic("heads", "-v", url=url)) for secret in secrets)


def test_without_a_url_it_says_how_to_name_one() -> None:
    done = alembic("upgrade", "head")
    assert done.returncode != 0
    assert "OQRON_URL" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_new_revision_starts_from_the_pattern(tmp_path: Path) -> None:
    copied = tmp_path / "migrations"
    succeeds(subprocess.run(["cp", "-r", ROOT / "migrations", copied], text=True, check=True))
    (tmp_path / "alembic.ini").write_text((ROOT / "alembic.ini").read_text())
    config = ("-c", str(tmp_path / "alembic.ini"))
    revise = ("revision", "--rev-id", "oqron9999", "-m", "more")
    succeeds(alembic(*config, *revise, url=sa.make_url("sqlite://")))
    text = (copied / "versions" / "oqron9999_more.py").read_text()
    assert f"down_revision = {HEAD!r}" in text
    url = sa.make_url(f"sqlite:///{tmp_path / 'new.db'}")
    succeeds(alembic(*config, "upgrade", "head", url=url))
    assert "oqron9999" in succeeds(alembic(*config, "current", url=url))
