"""Every sentence of the page about faults names what holds it, and that exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.markdown import ROOT
from tests.faults.bugs import BUGS
from tests.faults.nemeses import FAULTS

PAGE = (ROOT / "docs/faults.md").read_text()
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_RUN = re.compile(r"run `([\w-]+)`")


def promises() -> Iterator[str]:
    """Go through the items of the lists, each with the lines that belong to it."""
    text = PAGE.partition("## How it is tested")[0]
    for item in re.findall(r"^- .*(?:\n  .*)*", text, re.MULTILINE):
        yield " ".join(item.split())


@pytest.mark.parametrize("promise", [*promises()])
def test_it_names_what_holds_it(promise: str) -> None:
    tests, runs = _TEST.findall(promise), _RUN.findall(promise)
    assert tests or runs, "nothing holds this"
    assert set(runs) <= set(FAULTS)
    for path, name in tests:
        tree = ast.parse((ROOT / path).read_text())
        functions = [each for each in ast.walk(tree) if hasattr(each, "name")]
        assert name in {each.name for each in functions}, f"{path} has no {name}"


def test_every_run_holds_something() -> None:
    assert {*FAULTS} - {"order"} <= {*_RUN.findall(PAGE)}


def test_every_bug_is_in_the_table() -> None:
    for bug in BUGS.values():
        assert f"| {bug.about} | {bug.fault} | {bug.check} |" in PAGE, bug.name
    assert len(BUGS) >= 12
