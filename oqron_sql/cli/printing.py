"""What is printed: names are no markup, a pipe gets whole lines, a program gets JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

WIDE = 1000
ID_LENGTH = 36
Cell = str | int


def new_console(*, stderr: bool = False) -> Console:
    """Return a console that cuts nothing off where nobody has a screen to fit it on."""
    console = Console(highlight=False, stderr=stderr)
    if not console.is_terminal:
        console.width = WIDE
    return console


def say(console: Console, text: str, style: str = "") -> None:
    """Print text as it is: a file name is no markup, and a line in a log stays one line."""
    console.print(Text(printable(text), style=style), soft_wrap=not console.is_terminal)


def printable(text: str) -> str:
    """Return `text` without what could control a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
    """Return a table whose numbers stand to the right, and whose texts are no markup."""
    rows = list(rows)
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, heading in enumerate(headings):
        numeric = bool(rows) and all(isinstance(row[i], int) for row in rows)
        # What comes first is to be copied; an id is not folded while anything else can be.
        least = min(ID_LENGTH, max((len(str(row[i])) for row in rows), default=0)) if i == 0 else 1
        justify: JustifyMethod = "right" if numeric else "left"
        made.add_column(heading, justify=justify, overflow="fold", min_width=least)
    for row in rows:
        made.add_row(*(Text(f"{c:,}" if isinstance(c, int) else printable(c)) for c in row))
    return made


def print_table(console: Console, headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print a table; where the terminal is too narrow for it, each row by itself, cell by cell."""
    made = table(headings, rows)
    anywhere = console.options.update(max_width=WIDE)
    if Measurement.get(console, anywhere, made).minimum <= console.width:
        console.print(made)
        return
    width = max(map(len, headings))
    for i, row in enumerate(rows):
        if i:
            say(console, "")
        for heading, cell in zip(headings, row, strict=True):
            shown = f"{cell:,}" if isinstance(cell, int) else cell
            if shown:
                say(console, f"{heading:{width}}  {shown}")


def print_json(value: Any) -> None:
    """Print `value` as JSON in ASCII, which no terminal takes for a command."""
    print(json.dumps(plain(value), indent=2))


def plain(value: Any) -> Any:
    """Return `value` as JSON has it: instants in ISO 8601 and UTC, spans of time in seconds."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def iso(value: datetime) -> str:
    """Return an instant in ISO 8601, always of the same width."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def show_instant(value: datetime | None) -> str:
    """Return an instant for a person, to the second and in UTC."""
    return "" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def show_span(span: timedelta | None) -> str:
    """Return a span of time for a person, in its largest unit."""
    if span is None:
        return ""
    seconds = max(0, int(span.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
