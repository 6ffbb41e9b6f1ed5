"""The kit finds defects, names what it cannot run, and pins every line of the contract."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from oqron_sql import MemoryStore
from oqron_sql.contract import AsyncStore, Clock, Metrics
from oqron_sql.memory.data import MemoryData
from oqron_sql.testing import CAPABILITIES, StoreHarness, awaited, requires
from oqron_sql.testing.harness import why_not
from oqron_sql.testing.store import ROLES, TESTS, fixture
from tests.contract import broken

DEFECTS: list[tuple[type[MemoryStore], str]] = [
    (broken.ClaimsLater, "test_each_job_is_handed_out_once"),
    (broken.LooksBeforeSaving, "test_saves_of_one_key_make_one_job"),
    (broken.ChecksState, "test_a_stale_lease_ends_nothing"),
    (broken.ChecksOwner, "test_a_stale_lease_ends_nothing"),
    (broken.IgnoresLease, "test_a_stale_lease_may_not"),
    (broken.CountsGroupsFirst, "test_no_group_passes_its_cap"),
    (broken.CountsQueueFirst, "test_no_bound_on_a_queue_is_passed"),
    (broken.RewritesLogs, "test_no_log_line_is_lost"),
    (broken.SweepsUnconditionally, "test_sweepers_leave_a_new_lease_alone"),
    (broken.TellsNoParent, "test_a_tree_completes_upward"),
    (broken.RevivesParents, "test_a_parent_that_waits_no_more_is_left_alone"),
    (broken.FoldsCase, "test_deduplication_keys_are_told_apart"),
    (broken.RoundsToSeconds, "test_every_instant_is_exact"),
    (broken.ParsesTwice, "test_every_scalar_comes_back"),
    (broken.SavesOneByOne, "test_one_bad_job_of_a_bulk_keeps_all_out"),
    (broken.TellsBeforehand, "test_an_event_comes_after_the_commit"),
    (broken.LooksBeforeObliterating, "test_obliterating_and_fetching_exclude_each_other"),
    (broken.CountsAgain, "test_an_end_that_is_told_twice_counts_once"),
    (broken.ServesByAge, "test_the_order_is_that_of_insertion"),
    (broken.RetriesWhatWasReleased, "test_a_released_job_waits_in_its_old_place"),
    (broken.ExtendsToLook, "test_looking_at_locks_changes_none"),
    (broken.SeesWhatIsPaused, "test_a_job_waits_unless_it_is_paused"),
    (broken.RemovesByAge, "test_a_job_is_kept_for_its_span"),
    (broken.CancelsQuietly, "test_a_cancelled_child_is_told_upward"),
    (broken.CountsGroupsBeforeSaving, "test_the_room_of_a_group_is_exact"),
    (broken.FiresAfterLooking, "test_many_schedulers_fire_each_slot_once"),
    # The memory store itself, whose clock is the client's.
    (MemoryStore, "test_a_wrong_clock_does_not_change_a_lock"),
    (MemoryStore, "test_a_wrong_clock_does_not_change_a_delay"),
    (MemoryStore, "test_a_wrong_clock_does_not_change_a_rate"),
    (MemoryStore, "test_a_wrong_clock_does_not_change_a_slot"),
]


class Harness(StoreHarness):
    """Opens stores of one class on data of their own."""

    def __init__(self, kind: type[MemoryStore]) -> None:
        super().__init__()
        self._kind, self._data, self._clock = kind, MemoryData(), Clock()

    async def open(self) -> AsyncStore:
        made = self._kind(self._data, clock=self._clock, metrics=Metrics())
        return await self.keep(awaited(made))

    async def another(self) -> AsyncStore:
        return await self.open()

    async def advance(self, span: timedelta) -> None:
        self._clock.advance(span)


async def run(kind: type[MemoryStore], name: str) -> None:
    """Run one test of the kit on a store of that class."""
    harness = Harness(kind)
    given = {"harness": harness, "n": 1, "skew": timedelta(hours=1), "state": "active"}
    test: Any = TESTS[name]
    try:
        given["store"] = await harness.open()
        await test(**{each: given[each] for each in inspect.signature(test).parameters})
    finally:
        await harness.close()


@pytest.mark.parametrize(("kind", "name"), DEFECTS, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_broken_store_is_found(kind: type[MemoryStore], name: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await run(kind, name)


@pytest.mark.parametrize("name", sorted({name for kind, name in DEFECTS if kind != MemoryStore}))
async def test_a_sound_store_is_not(name: str) -> None:
    await run(MemoryStore, name)


def test_every_line_of_the_upstream_suite_is_pinned() -> None:
    """Each of Conveyor's 109 tests is named by at least one of ours."""
    named = {int(n) for role in (*ROLES, fixture) for n in re.findall(r"\[(\d+)\]", source(role))}
    assert named >= set(range(1, 110)), sorted(set(range(1, 110)) - named)


def test_every_weakness_of_a_store_is_pinned() -> None:
    """Those not listed are of upstream's workers and queues, not of its stores."""
    named = {int(n) for role in ROLES for n in re.findall(r"\bW(\d+)\b", source(role))}
    of_a_worker = {10, 15, 16, 24, 25, 29}
    assert named >= set(range(1, 30)) - of_a_worker, sorted(set(range(1, 30)) - named)


def source(module: Any) -> str:
    """Return the text of a module without its lists, which have brackets too."""
    return "\n".join(re.findall(r'""".*?"""|#.*', inspect.getsource(module), re.DOTALL))


def test_every_capability_is_needed() -> None:
    needed = {name for test in TESTS.values() for name in getattr(test, "capabilities", ())}
    assert needed == set(CAPABILITIES)


def test_an_unknown_requirement_is_refused() -> None:
    with pytest.raises(ValueError, match="teleportation"):
        requires("teleportation")


def test_a_lacking_capability_skips_with_its_reason() -> None:
    class Lacking(Harness):
        missing: ClassVar[Mapping[str, str]] = {"movable_clock": "it is nailed to the wall"}

    harness = Lacking(MemoryStore)
    assert why_not(TESTS["test_the_window_slides"], harness) == (
        "movable_clock: it is nailed to the wall"
    )
    assert why_not(TESTS["test_a_saved_job_is_read_back"], harness) is None


def test_an_unknown_capability_fails() -> None:
    """[1] as upstream's suite checks its list of what to skip."""

    class Mistaken(Harness):
        missing: ClassVar[Mapping[str, str]] = {"movable_clok": "mistyped"}

    with pytest.raises(pytest.fail.Exception, match="movable_clok"):
        fixture.check(TESTS["test_a_saved_job_is_read_back"], Mistaken(MemoryStore))


CONFTEST = """
import pytest
from oqron_sql import MemoryStore, Metrics
from oqron_sql.memory.data import MemoryData
from oqron_sql.testing import StoreHarness, awaited

class Mine(StoreHarness):
    missing = {"movable_clock": "it is nailed to the wall", "shared_data": "there is one"}

    async def open(self):
        return await self.keep(awaited(MemoryStore(MemoryData(), metrics=Metrics())))

@pytest.fixture
def harness():
    return Mine()
"""


def test_others_can_run_it(tmp_path: Path) -> None:
    """As the kit's documentation says, and without settings of pytest's."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_mine.py").write_text("from oqron_sql.testing.store import *\n")
    chosen = "read_back or window_slides or two_instances or log_line_is_lost"
    command = [sys.executable, "-m", "pytest", "-q", "-k", chosen, "-p", "no:cacheprovider"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert "2 passed, 2 skipped" in done.stdout, done.stdout + done.stderr
