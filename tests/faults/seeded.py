"""Whether the checks can see: each bug is planted, and runs are made until it is found.

python -m tests.faults.seeded [BUG ...]
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.bugs import BUGS, Bug
from tests.faults.nemeses import FAULTS
from tests.faults.processes import Nursery, nursery
from tests.faults.run import run
from tests.faults.stages import Stages

WITHIN = 300.0
"""How many seconds a bug may go unnoticed."""
SECONDS = 4.0


async def found(bug: Bug, stages: Stages, children: Nursery, folder: Path) -> float | None:
    """Make runs until the check that is to find the bug does; return how long it took."""
    began = time.monotonic()
    for seed in itertools.count(1):
        stage = stages.stage(bug.stage)
        fault = FAULTS[bug.fault]
        outcome = await run(
            stage, children, folder / bug.name, fault, seconds=SECONDS, seed=seed, bug=bug.name
        )
        took = time.monotonic() - began
        if bug.check in outcome.violations:
            return took
        if took > WITHIN:
            break
    return None


async def main(names: list[str]) -> int:
    folder = Path(tempfile.mkdtemp(prefix="oqron-seeded-"))
    stages = Stages(folder)
    missed = 0
    async with nursery(folder / "log") as children:
        for bug in [BUGS[name] for name in names or BUGS]:
            took = await found(bug, stages, children, folder)
            missed += took is None
            said = "not found" if took is None else f"{took:.0f} s"
            print(f"| {bug.about} | {bug.fault} | {bug.check} | {said} |", flush=True)
    stages.close()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
