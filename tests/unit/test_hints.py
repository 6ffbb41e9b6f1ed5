"""When a change of a file rings, and who is told of the end of a job."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection

import pytest

from oqron_sql.contract.topics import Asked, job_topic
from oqron_sql.notify.files import LONGEST_GAP, STEP, Rhythm


def rung(changes: Collection[int], own: Collection[int] = (), until: int = 300) -> list[int]:
    """Return the milliseconds at which it rings, looked at each of them."""
    rhythm, found = Rhythm(), []
    for now in range(until):
        if now in own:
            rhythm.note_own(now / 1000)
        if now in changes:
            rhythm.note(now / 1000)
        if rhythm.rings(now / 1000):
            found.append(now)
    return found


def test_a_lone_change_rings_at_once_and_once_more() -> None:
    step = round(STEP * 1000)
    assert rung([50]) == [50, 50 + step]
    assert rung([]) == []


def test_a_change_of_ones_own_rings_later_for_what_it_may_hide() -> None:
    assert rung([], own=[50]) == [50 + round(STEP * 1000)]


def test_changes_that_go_on_ring_now_and_then() -> None:
    found = rung(range(300))
    assert found[0] == 0
    assert len(found) <= 2 * 300 / (LONGEST_GAP * 1000) + 3
    gaps = [after - before for before, after in itertools.pairwise(found)]
    assert max(gaps) <= LONGEST_GAP * 1000


def test_who_did_not_ask_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    asked = Asked()
    assert asked.among("mail", ["a", "b"]) == set()
    asked.add(job_topic("mail", "a"), 30)
    assert asked.among("mail", ["a", "b"]) == {job_topic("mail", "a")}
    assert asked.among("other", ["a"]) == set()
    now += 31
    assert asked.among("mail", ["a"]) == set()
