"""Every Python example of the documentation runs, as it is printed.

The blocks of a page continue each other. One that begins with a comment naming a file, such as
`# mystore.py`, is that file; if its name begins with `test_`, pytest is run on it. An example that
asks for REDIS_URL gets that of a private server; one that asks for DATABASE_URL runs on a file, and
on every database below.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backends import BACKENDS, Backends
from tests.conftest import installed
from tests.docs.markdown import PAGES, Block, blocks, name
from tests.servers import Server

# Whom an example means, and the fixture that is somebody like that.
SERVERS = {
    "me@localhost:6432/shop": "pooler",
    "me@localhost/shop": "postgresql",
}
_FILE = re.compile(r"^# (?P<path>[\w/]+\.py)$")


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


def run(folder: Path, *arguments: str, **environment: str) -> None:
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def script(examples: list[Block]) -> str:
    """Return one program in which every line has the number that it has on its page."""
    lines: list[str] = []
    for block in examples:
        lines += [""] * (block.line - 1 - len(lines))
        lines += block.lines
    return "\n".join(lines) + "\n"


@pytest.fixture
def pooler(poolers: Callable[[str], Server]) -> Server:
    return poolers("transaction")


WITH_PYTHON = [page for page in PAGES if python_blocks(page)]
ANYWHERE = [page for page in WITH_PYTHON if "DATABASE_URL" in page.read_text()]
DATABASES = ("aiosqlite", "pg-asyncpg", "pg-psycopg", "maria-asyncmy", "maria-pymysql-thread")


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name)
def test_examples_run(
    page: Path, tmp_path: Path, backends: Backends, request: pytest.FixtureRequest
) -> None:
    examples = _unpack(page, tmp_path)
    if list(tmp_path.rglob("test_*.py")):
        run(tmp_path, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", ".")
    text = script(examples)
    for printed, fixture in SERVERS.items():
        if printed in text:
            server: Server = request.getfixturevalue(fixture)
            text = text.replace(printed, server.url("psycopg").partition("://")[2])
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path / 'app.db'}"}
    if "REDIS_URL" in text:
        with installed():
            environment["REDIS_URL"] = backends.server("redis").url("redis")
    _run_script(tmp_path, text, **environment)


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("page", ANYWHERE, ids=name)
def test_examples_run_on_every_database(
    page: Path, database: str, tmp_path: Path, backends: Backends
) -> None:
    with installed():
        url = backends.database(BACKENDS[database]).url
    _run_script(tmp_path, script(_unpack(page, tmp_path)), DATABASE_URL=url)


def _unpack(page: Path, folder: Path) -> list[Block]:
    """Write the files of a page; return its other examples."""
    examples = []
    for block in python_blocks(page):
        if file := _FILE.match(block.lines[0]):
            path = folder / file["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(block.lines) + "\n")
        else:
            examples.append(block)
    return examples


def _run_script(folder: Path, text: str, **environment: str) -> None:
    (folder / "page.py").write_text(text)
    run(folder, "-W", "error", "page.py", **environment)


def test_an_example_that_fails_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n")
    (tmp_path / "page.py").write_text(script(python_blocks(page)))
    with pytest.raises(AssertionError, match="line 8"):
        run(tmp_path, "page.py")
