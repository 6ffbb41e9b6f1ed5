"""The little of Markdown that the checks of the documentation need."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")])

_FENCE = re.compile(r"^```(?P<language>\w*)\s*$")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"`(?P<code>[^`\n]+)`")
_HEADING = re.compile(r"^#+ (?P<title>.+)$")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block; `line` is the number of its first line of text in the page."""

    language: str
    line: int
    lines: tuple[str, ...]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page.

    A fence that is never closed ends in an error, because everything after it is not text.
    """
    language, start, inside = "", 0, False
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if not (fence := _FENCE.match(line)):
            continue
        if inside:
            yield Block(language, start, tuple(lines[start - 1 : number - 1]))
        else:
            language, start = fence["language"], number + 1
        inside = not inside
    assert not inside, f"{name(page)}:{start - 1}: this block is never closed"


def prose(page: Path) -> list[str]:
    """Return the lines of a page with the fenced blocks blanked."""
    lines = page.read_text().splitlines()
    for block in blocks(page):
        lines[block.line - 1 : block.line - 1 + len(block.lines)] = [""] * len(block.lines)
    return lines


def links(page: Path) -> list[str]:
    return [link["target"] for line in prose(page) for link in _LINK.finditer(line)]


def inline_code(page: Path) -> list[str]:
    return [code["code"] for line in prose(page) for code in _CODE.finditer(line)]


def anchors(page: Path) -> set[str]:
    """Return the fragments that headings of the page can be reached by, as GitHub makes them."""
    titles = [heading["title"] for line in prose(page) if (heading := _HEADING.match(line))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
