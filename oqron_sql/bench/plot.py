"""The figures as a picture for a slide: one panel for each question, one bar for each answer."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from oqron_sql.bench.model import QUESTIONS, Question, Result
from oqron_sql.errors import ConfigurationError

WIDTH, MOST = 1280, 720
"""How wide the picture is, and how high at most: as a slide."""
MARGIN, COLUMNS, GAP = 48, 4, 36
TOP, BOTTOM, HEAD = 118, 84, 46
SLOT, SPACE, LABEL = 36, 18, 62
INK, PALE, LINE = "#1f2328", "#656d76", "#d0d7de"
# Okabe and Ito's, which can be told apart whatever one's eyes.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#f0e442")
FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"
GLYPH = 0.6
"""How wide a character is on the average, beside its height."""
FORMATS = (".svg", ".png")


def check_path(path: Path) -> None:
    """Refuse a file that could not be written afterwards.

    Raises:
        ConfigurationError: why, and what to do.
    """
    if path.suffix not in FORMATS:
        raise ConfigurationError(f"{path} ends in none of {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"there is no folder {path.absolute().parent}")
    if path.suffix == ".png":
        try:
            importlib.import_module("cairosvg")
        except (ImportError, OSError) as error:  # it is there, and its C library is not
            raise ConfigurationError(
                "a PNG needs cairosvg: pip install 'oqron-sql[plot]', or name a file in .svg"
            ) from error


def save(path: Path, result: Result, facts: Sequence[str]) -> None:
    """Write the picture, with `facts` as the lines below it."""
    picture = draw(result, facts)
    if path.suffix == ".png":
        cairosvg = importlib.import_module("cairosvg")
        cairosvg.svg2png(bytestring=picture, write_to=str(path), output_width=2 * WIDTH)
    else:
        path.write_bytes(picture)


def draw(result: Result, facts: Sequence[str]) -> bytes:
    """Return the picture as SVG."""
    colours = {each.label: COLOURS[i % len(COLOURS)] for i, each in enumerate(result.contestants)}
    legend = _legend(colours)
    top = TOP + 20 * (1 + max(line for _, line in legend.values()))
    rows = -(-len(QUESTIONS) // COLUMNS)
    slot = min(SLOT, ((MOST - top - BOTTOM) / rows - HEAD - SPACE) / len(colours))
    panel = HEAD + slot * len(colours) + SPACE
    total = top + rows * panel + BOTTOM
    root = Xml.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "font-family": FONT})
    root.attrib.update(viewBox=f"0 0 {WIDTH} {total:.0f}", width=str(WIDTH), height=f"{total:.0f}")
    Xml.SubElement(root, "title").text = "oqron-sql bench"
    _rect(root, 0, 0, WIDTH, total, "#ffffff")
    _text(root, MARGIN, 54, "Background jobs, side by side", 26, weight="600")
    work = result.work
    spread = "; the lines reach from the lowest to the highest" if work.rounds > 1 else ""
    rounds = f"median of {work.rounds} rounds" if work.rounds > 1 else "one round"
    subtitle = f"{work.jobs:,} jobs that do nothing, {rounds}{spread}"
    _text(root, MARGIN, 78, subtitle, 14, PALE)
    for label, (x, line) in legend.items():
        _rect(root, x, TOP - 19 + 20 * line, 12, 12, colours[label])
        _text(root, x + 18, TOP - 8 + 20 * line, label, 13)
    width = (WIDTH - 2 * MARGIN - GAP * (COLUMNS - 1)) / COLUMNS
    for i, question in enumerate(QUESTIONS):
        x, y = MARGIN + (i % COLUMNS) * (width + GAP), top + (i // COLUMNS) * panel
        _panel(root, x, y, width, slot, question, result, colours)
    for i, fact in enumerate(facts):
        _text(root, MARGIN, total - 22 - 16 * (len(facts) - 1 - i), fact, 11, PALE)
    return bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=True))


def _legend(labels: Iterable[str]) -> dict[str, tuple[float, int]]:
    """Return how far to the right, and in which line, each label goes."""
    places: dict[str, tuple[float, int]] = {}
    x, line = float(MARGIN), 0
    for label in labels:
        width = 18 + len(label) * 13 * GLYPH
        if x + width > WIDTH - MARGIN:
            x, line = MARGIN, line + 1
        places[label] = (x, line)
        x += width + 24
    return places


def _panel(
    root: Xml.Element,
    x: float,
    y: float,
    width: float,
    slot: float,
    question: Question,
    result: Result,
    colours: Mapping[str, str],
) -> None:
    _text(root, x, y + 16, question.title, 14, weight="600")
    _text(root, x, y + 33, f"{question.unit}, {question.better}", 11, PALE)
    medians = result.medians(question)
    thick = slot * 0.72
    most = max((max(result.samples(question, label)) for label in medians), default=0) or 1
    scale = (width - LABEL) / most
    for i, (label, colour) in enumerate(colours.items()):
        top = y + HEAD + i * slot
        middle = top + thick / 2
        if label not in medians:
            _text(root, x + 6, middle + 4, "–", 12, PALE)
            continue
        figure, samples = medians[label], result.samples(question, label)
        _rect(root, x, top, max(1.0, figure * scale), thick, colour)
        low, high = min(samples) * scale, max(samples) * scale
        if high - low > 1:
            _line(root, x + low, middle, x + high, middle, INK)
        best = figure == (min if question.less else max)(medians.values())
        _text(
            root, x + max(high, figure * scale) + 6, middle + 4.5, show(question, figure), 13,
            weight="600" if best and len(medians) > 1 else "400",
        )  # fmt: skip
    _line(root, x, y + HEAD - 4, x, y + HEAD + len(colours) * slot, LINE)


def show(question: Question, figure: float) -> str:
    """Return a figure as people read it."""
    return f"{figure:,.2f}" if question.less else f"{figure:,.0f}"


def _rect(root: Xml.Element, x: float, y: float, width: float, height: float, fill: str) -> None:
    where = {"x": x, "y": y, "width": width, "height": height}
    Xml.SubElement(root, "rect", {**_numbers(where), "fill": fill})


def _line(root: Xml.Element, x1: float, y1: float, x2: float, y2: float, stroke: str) -> None:
    where = _numbers({"x1": x1, "y1": y1, "x2": x2, "y2": y2})
    Xml.SubElement(root, "line", {**where, "stroke": stroke, "stroke-width": "1.2"})


def _text(
    root: Xml.Element,
    x: float,
    y: float,
    text: str,
    size: float,
    fill: str = INK,
    weight: str = "400",
) -> None:
    where = _numbers({"x": x, "y": y, "font-size": size})
    made = Xml.SubElement(root, "text", {**where, "fill": fill, "font-weight": weight})
    made.text = text


def _numbers(values: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{value:.1f}" for name, value in values.items()}
