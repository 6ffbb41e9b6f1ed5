"""What is installed from a wheel migrates without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.migrations.projects import Project

ROOT = Path(__file__).parents[2]
FILES = (
    "oqron_sql/alembic.ini",
    "oqron_sql/migrations/env.py",
    "oqron_sql/migrations/script.py.mako",
    "oqron_sql/migrations/versions/0001_initial.py",
    "oqron_sql/redis/scripts/claim.lua",
)
PROGRAM = """
import sqlalchemy, oqron_sql
from oqron_sql import migrate
print(oqron_sql.__file__)
migrate.ensure(sqlalchemy.create_engine("sqlite:///jobs.db"))
print(migrate.current(sqlalchemy.create_engine("sqlite:///jobs.db")))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the wheel is built without the network")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "--wheel-dir", folder, ROOT], check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_has_the_revisions(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert [name for name in FILES if name not in names] == []
    assert not [name for name in names if name.startswith(("migrations/", "tests/"))]


def test_an_installed_wheel_migrates(wheel: Path, tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)

    def run(*command: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        python = [sys.executable, *command]
        return subprocess.run(
            python, cwd=work, env=environment, capture_output=True, text=True, check=True
        ).stdout

    where, revision = run("-c", PROGRAM).split()
    assert Path(where) == site / "oqron_sql" / "__init__.py"
    config = ("-c", str(site / "oqron_sql" / "alembic.ini"), "-x", "url=sqlite:///jobs.db")
    assert revision in run("-m", "alembic", *config, "current")
    assert "No new upgrade operations" in run("-m", "alembic", *config, "check")

    project = Project(work, sa.make_url("sqlite:///shop.db"), sa.make_url("sqlite:///shop.db"))
    project.configure(ours="oqron_sql:migrations/versions")
    run("-m", "alembic", "-c", "live.ini", "upgrade", "heads")
    assert "No new upgrade operations" in run("-m", "alembic", "-c", "live.ini", "check")
    with sa.create_engine(f"sqlite:///{work / 'shop.db'}").connect() as conn:
        assert sa.inspect(conn).has_table("oqron_jobs")
