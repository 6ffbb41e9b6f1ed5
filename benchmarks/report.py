"""The result as JSON for keeping and as tables for reading."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.plan import Question, Sample
from benchmarks.rounds import Samples, Verdict, judge_bounds


def as_json(question: Question, server: str, samples: Samples, verdicts: Iterable[Verdict]) -> Any:
    """Return everything measured for one question."""
    return {
        "question": question.name,
        "title": question.title,
        "server": server,
        "runs": {
            run.label: {
                **dataclasses.asdict(run),
                "median": _median(samples[run.label]),
                "samples": [dataclasses.asdict(sample) for sample in samples[run.label]],
            }
            for run in question.runs
        },
        "comparisons": [
            {
                **dataclasses.asdict(verdict.comparison),
                "rate": round(verdict.rate),
                "peer_rate": round(verdict.peer_rate),
                "ratio": round(verdict.ratio, 2),
                "paired_ratio": round(verdict.paired, 2),
                "met": verdict.met,
            }
            for verdict in verdicts
        ],
    }


def show(question: Question, samples: Samples, verdicts: Iterable[Verdict]) -> None:
    """Print what was measured for one question."""
    console = Console()
    runs = Table(title=question.title, title_justify="left")
    for heading in ("run", "jobs/s", "min", "max", "client us/job", "server us/job", "others"):
        runs.add_column(heading, justify="left" if heading == "run" else "right")
    for label, made in samples.items():
        median = _median(made)
        rates = [sample.rate for sample in made]
        runs.add_row(
            label,
            f"{median['rate']:,.0f}",
            f"{min(rates):,.0f}",
            f"{max(rates):,.0f}",
            f"{median['client_us']:,.1f}",
            "-" if median["server_us"] is None else f"{median['server_us']:,.1f}",
            f"{median['other_cores']:.2f}",
        )
    console.print(runs)
    pairs = Table()
    for heading in ("run", "jobs/s", "peer", "jobs/s", "ratio", "paired", "target", "met"):
        pairs.add_column(heading, justify="left" if heading in ("run", "peer") else "right")
    for verdict in verdicts:
        target = verdict.comparison.target
        pairs.add_row(
            verdict.comparison.run,
            f"{verdict.rate:,.0f}",
            verdict.comparison.peer,
            f"{verdict.peer_rate:,.0f}",
            f"{verdict.ratio:.2f}",
            f"{verdict.paired:.2f}",
            "-" if target is None else f"{target:.1f}",
            {None: "-", True: "[green]yes[/]", False: "[red]no[/]"}[verdict.met],
        )
    if question.comparisons:
        console.print(pairs)
    figures = Table()
    for heading in ("run", "figure", "median", "at most", "met"):
        figures.add_column(heading, justify="left" if heading in ("run", "figure") else "right")
    for bound, figure, met in judge_bounds(question, samples):
        word = "[green]yes[/]" if met else "[red]no[/]"
        figures.add_row(bound.run, bound.figure, f"{figure:,.2f}", f"{bound.most:,.2f}", word)
    if question.bounds:
        console.print(figures)


def _median(samples: list[Sample]) -> dict[str, float | None]:
    def per_job(values: list[float]) -> float:
        return round(1e6 * statistics.median(values), 1)

    servers = [s.server_cpu / s.jobs for s in samples if s.server_cpu is not None]
    settled = [s.jobs / s.settled_seconds for s in samples if s.settled_seconds]
    return {
        "rate": round(statistics.median(s.rate for s in samples)),
        "settled_rate": round(statistics.median(settled)) if settled else None,
        "client_us": per_job([s.client_cpu / s.jobs for s in samples]),
        "server_us": per_job(servers) if servers else None,
        "other_cores": round(statistics.median(s.other_cores for s in samples), 2),
    }
