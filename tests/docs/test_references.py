"""Links lead somewhere, and files that are named exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oqron_sql.dialects import Dialect
from oqron_sql.schema.tables import tables
from tests.backends import BACKENDS
from tests.docs.markdown import PAGES, ROOT, anchors, inline_code, links, name, prose

FOLDERS = ("oqron_sql/", "examples/", "tests/", "migrations/", "docs/", "benchmarks/", ".ci/")
_PATH = re.compile(r"^\.?[\w/.\-]+$")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        if fragment:
            assert fragment in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_exist(page: Path) -> None:
    for code in inline_code(page):
        if code.startswith(FOLDERS) and _PATH.match(code):
            assert (ROOT / code).exists(), f"there is no {code}"


def test_decisions_are_complete_and_numbered_in_a_row() -> None:
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        headings = anchors(record)
        assert {"status", "context", "decision", "consequences"} <= headings, name(record)
        assert record.read_text().startswith(f"# {record.name[:4]}: "), name(record)


def test_the_guide_for_dialects_has_every_question() -> None:
    guide = ROOT / "docs/guides/write-a-dialect.md"
    questions = {question for question in dir(Dialect) if not question.startswith("_")}
    assert questions <= {*inline_code(guide)}


def test_the_guide_for_hosts_has_every_column_of_a_job() -> None:
    columns = tables().jobs.columns.keys()
    assert set(columns) <= {*inline_code(ROOT / "docs/guides/embed.md")}


def test_the_readme_names_every_driver_that_is_tested() -> None:
    rows = [line for line in prose(ROOT / "README.md") if line.startswith("|")]
    for backend in BACKENDS.values():
        assert any(backend.driver.rpartition("+")[2] in row for row in rows), backend.name
