"""`python -m tests.faults`: every fault on every backend, for so many minutes, and a report."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from tests.faults import report
from tests.faults.nemeses import FAULTS
from tests.faults.processes import nursery
from tests.faults.report import Skipped
from tests.faults.run import Fault, Outcome, run
from tests.faults.stages import KNOWN, STAGES, Stages
from tests.servers import Missing

OVERHEAD, LEAST = 5.0, 2.0
"""What a run takes besides, about, and what it has at least, in seconds."""
NOTHING_RUN = 2
"""The exit status if no run could be made: nothing was shown."""


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    backends = [name for name, backend in KNOWN.items() if backend.driver]
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for all of it (10)")
    parser.add_argument("--backend", action="append", choices=backends, help="on this one alone")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="this one alone")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="to do the same again")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where it leaves its report, and histories as BACKEND/FAULT/*.jsonl (a new one)",
    )
    return parser.parse_args(given)


Chosen = Sequence[tuple[str, Fault]]


def choose(asked: argparse.Namespace) -> tuple[Chosen, list[Skipped]]:
    """Return the runs to make, and those that were asked for by name where they are none."""
    chosen, misfits = [], []
    for backend in asked.backend or STAGES:
        for fault in (FAULTS[name] for name in asked.fault or FAULTS):
            if {backend, KNOWN[backend].server} & {*fault.on}:
                chosen.append((backend, fault))
            elif asked.fault:
                misfits.append(Skipped(backend, fault.name, f"it is for {report.places(fault)}"))
    return chosen, misfits


async def outcomes(
    asked: argparse.Namespace, chosen: Chosen, folder: Path
) -> AsyncIterator[Outcome | Skipped]:
    """Make every run, one after the other, each with its share of the time that is left."""
    stages = Stages(folder)
    ends = time.monotonic() + 60 * asked.minutes
    try:
        async with nursery(folder / "log") as children:
            for n, (backend, fault) in enumerate(chosen):
                share = (ends - time.monotonic()) / (len(chosen) - n)
                how: Any = {"seconds": max(LEAST, share - OVERHEAD), "seed": asked.seed}
                place = folder / backend / fault.name
                try:
                    stage = stages.stage(backend, fault.server)
                    if fault.env is None:
                        yield await run(stage, children, place, fault, **how)
                    else:
                        async with nursery(folder / "log", fault.env(folder)) as others:
                            yield await run(stage, others, place, fault, **how)
                except Missing as missing:
                    yield Skipped(backend, fault.name, str(missing))
    finally:
        stages.close()


async def main(asked: argparse.Namespace) -> int:
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="oqron-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    chosen, skipped = choose(asked)
    for misfit in skipped:
        print(report.line(misfit), flush=True)
    made: list[Outcome] = []
    async for outcome in outcomes(asked, chosen, folder):
        print(report.line(outcome), flush=True)
        if isinstance(outcome, Skipped):
            skipped.append(outcome)
        else:
            made.append(outcome)
    written = folder / "report.md"
    written.write_text(report.whole(made, skipped, asked.seed, folder))
    print(f"\n{report.verdict(made)}\nReport: {written}\nHistories: {report.histories(folder)}")
    if not made:
        return NOTHING_RUN
    return 1 if any(outcome.violations for outcome in made) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(arguments())))
