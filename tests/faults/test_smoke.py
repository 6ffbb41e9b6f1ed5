"""A few seconds of what `nox -s faults` does for long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.bugs import BUGS
from tests.faults.nemeses import FAULTS
from tests.faults.processes import Nursery, nursery
from tests.faults.run import run
from tests.faults.stages import Stage, Stages

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECONDS = 1.0
SEEN_AT_ONCE = ("lease-is-not-counted", "job-acknowledged-early")


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the processes say."""
    return tmp_path_factory.mktemp("faults") / "log"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def children(log: Path) -> AsyncIterator[Nursery]:
    """One nursery for all: it takes seconds to get ready."""
    async with nursery(log) as made:
        yield made


async def test_nothing_is_lost_when_processes_are_killed(
    stage: Stage, children: Nursery, log: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    outcome = await run(stage, children, folder, FAULTS["kill"], seconds=SECONDS, seed=1)
    assert outcome.violations == {}, log.read_text()[-4000:]
    assert outcome.jobs
    assert outcome.injected


@pytest.mark.parametrize("name", SEEN_AT_ONCE)
async def test_a_bug_is_seen(name: str, stages: Stages, children: Nursery, tmp_path: Path) -> None:
    bug, stage = BUGS[name], stages.stage("sqlite-thread")
    folder, fault = tmp_path / "run", FAULTS[bug.fault]
    outcome = await run(stage, children, folder, fault, seconds=SECONDS, seed=1, bug=name)
    assert bug.check in outcome.violations
