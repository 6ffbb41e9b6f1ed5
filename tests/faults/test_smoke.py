"""A few seconds of what `nox -s faults` does for long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.bugs import BUGS
from tests.faults.nemeses import FAULTS
from tests.faults.processes import nursery
from tests.faults.run import run
from tests.faults.stages import Stage, Stages

SECONDS = 1.0
SEEN_AT_ONCE = ("lease-is-not-counted", "job-acknowledged-early")


async def test_nothing_is_lost_when_processes_are_killed(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with nursery(log) as children:
        folder = tmp_path / "run"
        outcome = await run(stage, children, folder, FAULTS["kill"], seconds=SECONDS, seed=1)
    assert outcome.violations == {}, log.read_text()[-4000:]
    assert outcome.jobs
    assert outcome.injected


@pytest.mark.parametrize("name", SEEN_AT_ONCE)
async def test_a_bug_is_seen(name: str, stages: Stages, tmp_path: Path) -> None:
    bug, stage = BUGS[name], stages.stage("sqlite-thread")
    async with nursery(tmp_path / "log") as children:
        outcome = await run(
            *(stage, children, tmp_path / "run", FAULTS[bug.fault]), seconds=2, seed=1, bug=name
        )
    assert bug.check in outcome.violations
