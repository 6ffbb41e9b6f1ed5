"""What came of all runs, for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.run import Fault, Outcome

SHOWN = 10
"""How many violations of one kind are told in full."""
HEAD = (
    *("backend", "fault", "jobs", "injected", "handed out again", "lost", "other", "seconds"),
    "until the next claim",
)


NONE = "\N{EN DASH}"
"""What stands where a number does not apply."""


class Skipped(NamedTuple):
    """A run that could not be made here, and why."""

    backend: str
    fault: str
    why: str


def cells(outcome: Outcome) -> tuple[str, ...]:
    found = outcome.violations
    lost = len(found.get("lost", ()))
    other = sum(map(len, found.values())) - lost
    numbers = (outcome.jobs, outcome.injected, outcome.again, lost, other)
    waited = NONE if outcome.waited is None else f"{outcome.waited:.1f}"
    name, took = outcome.fault.name, f"{outcome.seconds:.0f}"
    return (outcome.backend, name, *map(str, numbers), took, waited)


def line(outcome: Outcome | Skipped) -> str:
    """Return one run in one line."""
    if isinstance(outcome, Skipped):
        return f"{outcome.backend:<20} {outcome.fault:<16} skipped: {outcome.why}"
    backend, fault, jobs, injected, again, lost, other, seconds, waited = cells(outcome)
    sentence = f"{jobs:>5} jobs  {injected:>4} faults  {again:>4} again  {lost} lost  {other} wrong"
    resumed = f", claims {waited} s after a promotion" if waited != NONE else ""
    return f"{backend:<20} {fault:<16} {sentence}  {seconds:>3} s{resumed}"


def verdict(outcomes: Sequence[Outcome]) -> str:
    """Return all runs in one sentence."""
    if not outcomes:
        return "0 runs: nothing was shown."
    jobs = sum(outcome.jobs for outcome in outcomes)
    injected = sum(outcome.injected for outcome in outcomes)
    wrong = sum(bool(outcome.violations) for outcome in outcomes)
    said = "every promise held" if not wrong else f"in {wrong} of them a promise was broken"
    return f"{len(outcomes)} runs, {jobs} jobs, {injected} faults: {said}."


def places(fault: Fault) -> str:
    """Return where a fault can be, in words."""
    return " and ".join(kind or "sqlite" for kind in fault.on)


def histories(folder: Path) -> str:
    """Return where the histories of all runs are, a file for each process."""
    return f"{folder}/<backend>/<fault>/*.jsonl"


def whole(outcomes: Sequence[Outcome], skipped: Sequence[Skipped], seed: int, folder: Path) -> str:
    """Return the report, in Markdown."""
    lines = [
        "# Faults",
        "",
        verdict(outcomes),
        "",
        f"Seed: {seed}",
        "",
        f"Histories: `{histories(folder)}`",
        "",
    ]
    lines += [row(HEAD), row(["---"] * len(HEAD))]
    lines += [row(cells(outcome)) for outcome in outcomes]
    if skipped:
        lines += ["", "Skipped:", ""]
        lines += [f"- {each.fault} on {each.backend}: {each.why}" for each in skipped]
    lines += ["", "## What was broken", ""]
    told = dict.fromkeys((outcome.fault.name, outcome.fault.about) for outcome in outcomes)
    lines += [f"- **{name}**: {about}" for name, about in told]
    broken = [outcome for outcome in outcomes if outcome.violations]
    if broken:
        lines += ["", "## What went wrong"]
    for outcome in broken:
        lines += ["", f"### {outcome.backend}, {outcome.fault.name}", ""]
        for check, sentences in outcome.violations.items():
            lines += [f"- {check}: {sentence}" for sentence in sentences[:SHOWN]]
            if len(sentences) > SHOWN:
                lines.append(f"- {check}: and {len(sentences) - SHOWN} more")
    return "\n".join([*lines, ""])


def row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
