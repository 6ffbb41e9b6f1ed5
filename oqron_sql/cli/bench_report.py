"""What was measured, as a table, as JSON, and in the lines below a picture."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from oqron_sql.bench.machine import machine, packages
from oqron_sql.bench.model import QUESTIONS, Question, Result
from oqron_sql.bench.plot import show
from oqron_sql.cli.printing import printable, say, table


def print_result(console: Console, result: Result) -> None:
    """Print the medians, those that are the best of a line in bold."""
    labels = [each.label for each in result.contestants]
    made = table(("jobs/s, unless told otherwise", *labels), [])
    for column in made.columns[1:]:
        column.justify = "right"
    for question in QUESTIONS:
        unit = f", {question.unit}" if question.less else ""
        made.add_row(f"{question.title}{unit}", *(_cell(question, result, each) for each in labels))
    console.print(made)
    say(console, "")
    for fact in facts(result):
        say(console, fact)
    for label, reason in result.failures.items():
        say(console, f"{label} took no further part: {reason}", "yellow")


def result_as_json(result: Result) -> dict[str, Any]:
    """Return everything that is known, for programs."""
    return {
        "machine": machine(),
        "packages": _taking_part(result),
        "jobs": result.work.jobs,
        "rounds": result.work.rounds,
        "contestants": [
            {"label": each.label, "peer": each.peer, "server": result.servers.get(each.label)}
            for each in result.contestants
        ],
        "questions": [
            {
                "name": question.name,
                "title": question.title,
                "unit": question.unit,
                "lower_is_better": question.less,
                "answers": {
                    label: {"median": median, "samples": result.samples(question, label)}
                    for label, median in result.medians(question).items()
                },
            }
            for question in QUESTIONS
        ],
        "failures": result.failures,
    }


def facts(result: Result) -> list[str]:
    """Return what one has to know beside the figures."""
    made = machine()
    servers = dict.fromkeys(result.servers.values())
    versions = {**_taking_part(result), "Python": made["python"]}
    return [
        "; ".join(servers),
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"{made['processor']}, {made['cores']} cores, {made['system']}; {made['measured_at'][:10]}",
    ]


@contextlib.contextmanager
def progress(console: Console, steps: int) -> Iterator[Callable[[str], None]]:
    """Show a bar, which goes on by one step with each thing that is told; nothing in a pipe."""
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=steps, completed=-1)

        def tell(what: str) -> None:
            bar.update(task, advance=1, description=printable(what))

        yield tell


def _cell(question: Question, result: Result, label: str) -> Text:
    medians = result.medians(question)
    if label not in medians:
        return Text("-")
    figure = medians[label]
    best = figure == (min if question.less else max)(medians.values()) and len(medians) > 1
    return Text(show(question, figure), style="bold" if best else "")


def _taking_part(result: Result) -> dict[str, str]:
    """Return the versions of the packages that have to do with it."""
    sides = {each.side for each in result.contestants}
    drivers = {each.label.partition(", ")[2].partition(" ")[0] for each in result.contestants}
    always = {"oqron-sql", "sqlalchemy", "uvloop"}
    return {
        name: version
        for name, version in packages().items()
        if name in always | sides | drivers and version != "not installed"
    }
