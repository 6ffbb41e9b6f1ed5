"""Commands in the documentation are ones that exist, and every one that exists is described."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from oqron_sql.cli.app import app
from tests.docs.markdown import PAGES, ROOT, blocks, name

# A click command; whether it is click's own or a copy inside typer depends on typer's version.
Command = Any

ROOT_COMMAND: Command = typer.main.get_command(app)
SHELL = ("sh", "bash", "console")
NOXFILE = (ROOT / "noxfile.py").read_text()


def subcommands(command: Command) -> dict[str, Command]:
    return getattr(command, "commands", {})


def commands(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command that does something."""
    if not subcommands(command):
        yield path
    for word, child in subcommands(command).items():
        if not child.hidden:
            yield from commands(child, (*path, word))


def find(path: tuple[str, ...]) -> Command:
    command = ROOT_COMMAND
    for word in path:
        assert word in subcommands(command), f"there is no command oqron-sql {shlex.join(path)}"
        command = subcommands(command)[word]
    return command


def options(path: tuple[str, ...]) -> list[Command]:
    return [param for param in find(path).params if param.param_type_name == "option"]


def printed(page: Path) -> Iterator[list[str]]:
    """Yield the words of each simple command in the shell blocks of a page."""
    for block in blocks(page):
        if block.language not in SHELL:
            continue
        for line in "\n".join(block.lines).replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;", line.removeprefix("$ ")):
                yield shlex.split(part, comments=True)


PRINTED = [(name(page), words) for page in PAGES for words in printed(page) if words]
OURS = [(page, words) for page, words in PRINTED if Path(words[0]).name == "oqron-sql"]


@pytest.mark.parametrize(("page", "words"), OURS, ids=lambda value: str(value))
def test_a_printed_command_exists(page: str, words: list[str]) -> None:
    path: list[str] = []
    for word in words[1:]:
        if not subcommands(find(tuple(path))) or word.startswith("-"):
            break
        path.append(word)
    known = {text for option in options(tuple(path)) for text in (*option.opts, "--help")}
    used = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert used <= known, f"{page}: {used - known}"


SESSIONS = re.findall(r"^def (\w+)\(session: nox.Session\)", NOXFILE, re.MULTILINE)


def test_every_session_is_described() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert [name for name in SESSIONS if f"`nox -s {name}`" not in text] == []


def test_printed_sessions_and_files_exist() -> None:
    for page, words in PRINTED:
        tool, *arguments = words
        if Path(tool).name == "nox" and arguments[:1] == ["-s"]:
            assert arguments[1] in SESSIONS, f"{page}: {words}"
        if Path(tool).name == "pytest":
            for path in (word for word in arguments if word.startswith("tests/")):
                assert (ROOT / path.partition("::")[0]).exists(), f"{page}: {words}"


@pytest.mark.parametrize("path", list(commands(ROOT_COMMAND)), ids=shlex.join)
def test_every_command_is_described(path: tuple[str, ...]) -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert f"oqron-sql {shlex.join(path)}" in text
    assert find(path).help, "it has no help of its own"
    for option in options(path):
        assert option.help, f"{option.opts} has no help"
        assert any(f"`{spelling}" in text for spelling in option.opts), f"{option.opts}"


def test_ci_pastes_the_test_command_of_the_readme() -> None:
    (line,) = (words for page, words in PRINTED if page == "README.md" and "pytest" in words[0])
    assert line == [".venv/bin/pytest"]
    assert "README.md" in (ROOT / ".ci/run").read_text()
