"""The adapters' kit finds defects, names what it cannot run, and pins every line it promises."""

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

from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.errors import OqronError
from oqron_sql.memory import AsyncMemoryBroker, AsyncMemoryLock, AsyncMemoryStorage
from oqron_sql.testing import ADAPTER_CAPABILITIES, AdapterHarness
from oqron_sql.testing.adapters import ROLES, TESTS, fixture
from tests.adapter_backends import MemoryHarness
from tests.contract import broken_adapters as broken

DEFECTS: list[tuple[type[Any], str]] = [
    (broken.Merges, "test_saving_replaces_and_merges_nothing"),
    (broken.LooksBeforeSaving, "test_one_of_fifty_saves_what_is_absent"),
    (broken.AddsInTheClient, "test_no_increment_is_lost"),
    (broken.AsksForContainment, "test_what_is_expected_is_compared_deeply"),
    (broken.EmptiesLists, "test_a_change_keeps_everything_else_exactly"),
    (broken.SortsAsText, "test_an_order_is_of_its_type"),
    (broken.ShiftsPages, "test_pages_are_cut_after_filtering"),
    (broken.LeavesTiesOpen, "test_pages_of_equals_follow_each_other"),
    (broken.CapsLists, "test_many_documents_are_listed"),
    (broken.PrunesOneStep, "test_hundreds_are_pruned_at_once"),
    (broken.KeepsTimes, "test_a_time_counts_however_it_was_written"),
    (broken.ForgetsClaims, "test_a_claim_that_ran_out_is_claimed_by_somebody_else"),
    (broken.Reexposes, "test_a_claimed_id_that_is_published_waits_after_its_ack"),
    (broken.LetsAnybodyAck, "test_a_stale_claim_changes_nothing"),
    (broken.SplitsPriorities, "test_what_is_new_takes_its_place"),
    (broken.ReturnsTableOrder, "test_equal_priorities_go_by_publication"),
    (broken.ClaimsInTwoSteps, "test_ids_are_claimed_once_each"),
    (broken.CreatesWhatIsHandedBack, "test_what_is_not_claimed_stays_as_it_is"),
    (broken.HandsBackToTheEnd, "test_what_is_handed_back_is_claimed_next"),
    (broken.PausesByAnId, "test_no_id_pauses_a_broker"),
    (broken.PublishesOneByOne, "test_one_bad_message_keeps_a_batch_out"),
    (broken.WaitsWholeSeconds, "test_nothing_comes_of_waiting_in_vain"),
    (broken.TriesAgainOnErrors, "test_a_failing_handler_is_logged_and_called_once"),
    (broken.ExtendsWhatIsOver, "test_a_late_ack_is_accepted_if_nobody_else_claimed"),
    (broken.RenewsWhatIsOver, "test_a_lock_that_is_over_is_nobody_s"),
    (broken.LooksBeforeTaking, "test_one_of_a_hundred_takes_the_lock"),
    (broken.NumbersOwners, "test_fencing_numbers_rise"),
    # The memory adapters themselves, whose clock is the client's.
    (AsyncMemoryBroker, "test_a_wrong_clock_does_not_change_a_claim"),
    (AsyncMemoryLock, "test_a_wrong_clock_does_not_change_who_has_a_lock"),
    (AsyncMemoryStorage, "test_a_wrong_clock_does_not_change_the_order_of_documents"),
]
SOUND: tuple[type[Any], ...] = (AsyncMemoryStorage, AsyncMemoryBroker, AsyncMemoryLock)


class Harness(MemoryHarness):
    """Opens adapters of one class, and sound ones beside."""

    def __init__(self, kind: type[Any]) -> None:
        super().__init__()
        self._kinds = [kind if issubclass(kind, sound) else sound for sound in SOUND]

    async def storage(self) -> AsyncStorage:
        made: AsyncStorage = self._kinds[0](self.documents, clock=self.clock)
        return made

    async def broker(self) -> AsyncBroker:
        made: AsyncBroker = self._kinds[1](self.queues, clock=self.clock)
        return made

    async def lock(self) -> AsyncLock:
        made: AsyncLock = self._kinds[2](self.locks, clock=self.clock)
        return made


async def run(kind: type[Any], name: str, request: pytest.FixtureRequest) -> None:
    """Run one test of the kit on an adapter of that class."""
    harness = Harness(kind)
    given = {"harness": harness, "skew": timedelta(hours=1)}
    given |= {each: await getattr(harness, each)() for each in fixture.PORTS}
    test: Any = TESTS[name]
    wanted = inspect.signature(test).parameters
    await test(**{each: given.get(each) or request.getfixturevalue(each) for each in wanted})


@pytest.mark.parametrize(("kind", "name"), DEFECTS, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_broken_adapter_is_found(
    kind: type[Any], name: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception, OqronError)):
        await run(kind, name, request)


@pytest.mark.parametrize("name", sorted({name for kind, name in DEFECTS if kind not in SOUND}))
async def test_a_sound_adapter_is_not(name: str, request: pytest.FixtureRequest) -> None:
    await run(AsyncMemoryStorage, name, request)


LINES: Mapping[str, tuple[str, ...]] = {
    "S": (
        *("upsert replaces", "copies in and out", "newest first, ties stable", "limit 0"),
        *("negative limit and offset", "order by type, direction, missing, mixed"),
        *("page 2 in order", "filter by every type and field name", "operators on any row"),
        *("unknown operator", "prune: boundary, no time, the future", "CAS is deep equality"),
        *("increment of any number and of none", "empty lists stay", "big integers", "NUL"),
        *("scalars at the top", "bulk is atomic", "50-way save_if_absent"),
        *("200-way increment", "CAS has one winner"),
    ),
    "B": (
        *("any strategy claims any id", "order within a claim", "lapse redelivers once"),
        *("late ack, nack, extension", "publish while claimed", "nack of the unknown"),
        *("priority survives", "due order", "publishing again", "pause, in flight and waiting"),
        *("size and counts", "waiting wakes, honours, holds up nobody", "no sentinel"),
        "none lost, none twice",
    ),
    "L": (
        *("taken again", "renewed late", "a lock is over", "ttl must be positive", "odd ttl"),
        *("100-way acquire", "no revival", "fencing rises", "swept"),
    ),
}
ELSEWHERE = {"L3"}
"""At the very instant of the deadline: only a clock that stands still can show it."""


def test_every_line_of_the_specification_is_pinned() -> None:
    """OqronKit's own 87 cases, and what each of its defects asks for."""
    named = {label for role in ROLES for label in re.findall(r"\[([SBLI]?\d+)\]", source(role))}
    expected = {str(n) for n in range(1, 88)}
    expected |= {f"{kind}{n}" for kind, lines in LINES.items() for n in range(1, len(lines) + 1)}
    assert expected - ELSEWHERE <= named, sorted(expected - ELSEWHERE - named)
    assert named <= expected | {"I5"}, sorted(named - expected)


def source(module: Any) -> str:
    """Return the docstrings of a module."""
    return "\n".join(re.findall(r'""".*?"""', inspect.getsource(module), re.DOTALL))


def test_every_capability_is_needed() -> None:
    needed = {name for test in TESTS.values() for name in getattr(test, "capabilities", ())}
    assert needed | set(fixture.PORTS) == set(ADAPTER_CAPABILITIES)


def test_what_lacks_a_port_is_not_asked_for_it() -> None:
    class Lacking(AdapterHarness):
        missing: ClassVar[Mapping[str, str]] = {"lock": "we need none"}

    test = TESTS["test_a_free_lock_is_taken"]
    with pytest.raises(pytest.skip.Exception, match="we need none"):
        fixture.check(test, Lacking(), ["lock", "opened"])
    fixture.check(test, Lacking(), ["storage", "opened"])


def test_an_unknown_capability_fails() -> None:
    class Mistaken(AdapterHarness):
        missing: ClassVar[Mapping[str, str]] = {"movable_clok": "mistyped"}

    with pytest.raises(pytest.fail.Exception, match="movable_clok"):
        fixture.check(TESTS["test_a_free_lock_is_taken"], Mistaken(), ["lock"])


CONFTEST = """
import pytest
from oqron_sql.errors import OqronError
from oqron_sql.memory import AsyncMemoryStorage, MemoryDocuments
from oqron_sql.testing import AdapterHarness

class Mine(AdapterHarness):
    missing = {"broker": "none yet", "lock": "none yet", "movable_clock": "it is nailed down"}

    def __init__(self):
        self.data = MemoryDocuments()

    async def storage(self):
        return AsyncMemoryStorage(self.data)

@pytest.fixture
def harness():
    return Mine()
"""


def test_others_can_run_it(tmp_path: Path) -> None:
    """As the kit's documentation says, and without settings of pytest's."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_mine.py").write_text("from oqron_sql.testing.adapters import *\n")
    chosen = "read_back or make_it_younger or free_lock or increment_is_lost"
    command = [sys.executable, "-m", "pytest", "-q", "-k", chosen, "-p", "no:cacheprovider"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert "2 passed, 2 skipped" in done.stdout, done.stdout + done.stderr
