"""The import rules hold, and each of them notices a violation."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = (
    "-c",
    "from importlinter.cli import lint_imports_command as main; main()",
    "--no-cache",
    "--no-logo",
)
RUFF = ("-m", "ruff", "check", "--no-cache", "--select=TID251", "oqron_sql")

IMPORT_RULES = {
    "layers point one way": ("contract", "import oqron_sql.queries"),
    "memory and the contract know no SQL": ("memory", "import sqlalchemy"),
    "the Redis adapters know no SQL": ("redis", "import sqlalchemy"),
    "the runtime knows the contract and nothing else": ("runtime", "import oqron_sql.memory"),
    "queries and tables know what a dialect answers, never a dialect": (
        "queries",
        "from oqron_sql.dialects import postgresql",
    ),
    "no asyncio below the shell": ("queries", "import asyncio"),
}
BANNED = (
    "from sqlalchemy.dialects import postgresql",
    "from sqlalchemy.ext.asyncio import create_async_engine",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the package and of the rules, to be broken."""
    bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "oqron_sql", tmp_path / "oqron_sql", ignore=bytecode)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(project: Path, tool: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *tool], cwd=project, capture_output=True, text=True, check=False
    )


def add(project: Path, package: str, line: str) -> None:
    (project / "oqron_sql" / package / "intruder.py").write_text(line + "\n")


@pytest.mark.parametrize("tool", [LINT_IMPORTS, RUFF], ids=["import-linter", "ruff"])
def test_the_package_keeps_the_rules(project: Path, tool: tuple[str, ...]) -> None:
    result = run(project, tool)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("rule", IMPORT_RULES)
def test_a_violation_is_reported_under_the_name_of_its_rule(project: Path, rule: str) -> None:
    package, line = IMPORT_RULES[rule]
    add(project, package, line)
    result = run(project, LINT_IMPORTS)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{rule} BROKEN" in result.stdout


def test_every_import_rule_has_its_violation() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert text.count("[[tool.importlinter.contracts]]") == len(IMPORT_RULES)


@pytest.mark.parametrize("line", BANNED)
@pytest.mark.parametrize("package", ["queries", "schema", "contract", "cli", "memory"])
def test_the_linter_keeps_databases_and_asyncio_in_their_folders(
    project: Path, package: str, line: str
) -> None:
    add(project, package, line)
    result = run(project, RUFF)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "TID251" in result.stdout
    assert "intruder.py" in result.stdout


def test_a_module_without_a_place_among_the_layers_is_reported(project: Path) -> None:
    (project / "oqron_sql" / "stray.py").write_text('"""Nobody said where it stands."""\n')
    result = run(project, LINT_IMPORTS)
    assert result.returncode == 1
    assert "stray" in result.stdout
