"""Each check sees what it is for, and is silent about what may be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.faults.checks import CHECKS, violations
from tests.faults.history import Event, History
from tests.faults.rules import Rules

Line = tuple[Any, ...]


def history(*lines: Line) -> History:
    """Make a history of lines (what, facts), a second apart."""
    return History(Event(what, float(at), "p", facts) for at, (what, facts) in enumerate(lines))


def enqueued(job: str = "a", **more: Any) -> list[Line]:
    asked = {"job": job, "key": None, **more}
    return [("enqueueing", asked), ("enqueued", asked)]


def claimed(job: str = "a", lease: int = 1, since: float = 0, **more: Any) -> Line:
    facts = {"job": job, "lease": lease, "since": since, "until": since + 10, "space": "q"}
    return "claimed", {**facts, "home": "q", "group": None, **more}


def of(what: str, job: str = "a", lease: int = 1, **more: Any) -> Line:
    return what, {"job": job, "lease": lease, **more}


def lock(what: str, fence: int, at: float, **more: Any) -> Event:
    """An event of the process that is called after the fence, unless another is given."""
    process = more.pop("process", f"p{fence}")
    facts = {"key": "k", "fence": fence, "asked": at - 0.1, "valid": at + 10, **more}
    return Event(what, at, process, facts)


LOCKS: dict[str, list[list[Event]]] = {
    "held_twice": [
        [lock("acquired", 1, 0), lock("acquired", 2, 9)],
        [lock("acquired", 1, 0), lock("renewed", 1, 5), lock("acquired", 2, 14)],
    ],
    "fences": [
        [lock("acquired", 2, 0), lock("acquired", 1, 20)],
        [lock("acquired", 1, 0), lock("acquired", 1, 20, process="another")],
    ],
}
FINE = [
    [lock("acquired", 1, 0), lock("acquired", 2, 10)],
    [lock("acquired", 1, 0), lock("releasing", 1, 1), lock("acquired", 2, 2)],
    [lock("acquired", 1, 0), lock("acquired", 1, 1)],  # it had it, and asked again
    [lock("acquired", 2, 0), lock("acquired", 1, 1, asked=-1, valid=0.5)],  # it was stopped
    [lock("acquired", 2, 0, valid=0), lock("acquired", 1, 0.05, valid=0)],  # replies overtook
]


@pytest.mark.parametrize(("name", "events"), [(n, h) for n, all_ in LOCKS.items() for h in all_])
def test_it_is_seen_of_locks(name: str, events: list[Event]) -> None:
    assert name in violations(History(events), Rules())


@pytest.mark.parametrize("events", FINE)
def test_no_holder_is_blamed(events: list[Event]) -> None:
    assert violations(History(events), Rules()) == {}


def fired(at: float) -> Line:
    return "fired", {"key": "s", "slot": at, "job": f"s@{at}"}


def slot(at: float) -> Line:
    return of("final", f"s@{at}", state="completed", lost=0, key="s", slot=at)


def series(fired: int, limit: int | None = None) -> Line:
    """A series that was put at 0."""
    return "series", {"key": "s", "anchor": 0, "fired": fired, "limit": limit}


def done(job: str = "a", lease: int = 1) -> list[Line]:
    """The rest of a job that is completed by this lease."""
    return [
        of("began", job, lease),
        of("ended", job, lease),
        of("finishing", job, lease, state="completed"),
        of("finished", job, lease, state="completed"),
        of("final", job, lease, state="completed", lost=lease - 1, result=[job, lease]),
    ]


PERFECT = [*enqueued(), claimed(), *done()]
RULES = Rules(
    ordered=True, group_cap=1, max_active=1, rate=(2, timedelta(seconds=5)), keyed=True, late=10
)
KEYED = [*enqueued(key="k"), *enqueued("b", key="k")]
TWO = [claimed(group="g"), claimed("b", since=1, group="g")]
PROMOTED: Line = ("promoted", {})
PASSING = [of("began")] * 11  # seconds


def stepped(by: float) -> Line:
    return "stepped", {"by": by, "asked": 0.5}


BAD: dict[str, list[list[Line]]] = {
    "lost": [
        [*enqueued()],
        [*enqueued(), of("final", state="waiting", lost=0)],
        [of("published"), of("finishing", state="waiting")],
        [("left", {"ids": 1})],
    ],
    "invented": [[claimed()], [of("began")]],
    "ended_twice": [
        [*PERFECT, claimed(lease=2, since=20)],
        [*PERFECT, of("finished", lease=2, state="failed")],
        [of("finished", state="completed"), of("final", lease=2, state="completed", lost=0)],
    ],
    "unfounded": [
        [*enqueued(), claimed(), of("final", state="completed", lost=0)],
        [of("ended"), of("final", state="completed", lost=0, result=["a", 2])],
    ],
    "shared": [
        [claimed(), claimed()],
        [claimed(), claimed(lease=2, since=9)],
        [claimed(), of("extended", until=20), claimed(lease=2, since=15)],
        [claimed(valid=5), claimed(lease=2, since=10)],  # by the clock that all share
        [claimed(valid=5), stepped(2), claimed(lease=2, since=10)],  # by as much as that
        [claimed(), stepped(-2), claimed(lease=2, since=7)],
        [stepped(-2), claimed(), claimed(lease=2, since=9)],  # before, it is all the same
        [
            *(claimed(), of("finishing", state="completed"), of("finished", state=None)),
            claimed(lease=2, since=9),
        ],
    ],
    "late": [
        [claimed(valid=5), *PASSING, *PASSING, claimed(lease=2, since=20)],
        [claimed(valid=5), stepped(-5), *PASSING, *PASSING, claimed(lease=2, since=20)],
    ],
    "stale": [
        [
            *(claimed(), claimed(lease=2, since=20)),
            *(of("finishing", state="completed"), of("finished", state="completed")),
        ],
    ],
    "torn": [[("torn", {"problem": "two places"})]],
    "out_of_order": [[*enqueued(), *enqueued("b"), claimed("b"), claimed(since=1)]],
    "strayed": [[claimed(space="another")]],
    "doubled": [[*KEYED, of("began", "b")]],
    "exceeded": [[*TWO, of("began")]],
    "hurried": [[claimed(), claimed("b", since=1), claimed("c", since=4.9)]],
    "slots": [
        [fired(1), fired(1)],
        [slot(1), slot(2), series(3)],  # it moved on, and saved no job
        [slot(1), slot(3), series(2)],
        [slot(2), series(1)],
        [slot(1), slot(2), series(2, limit=1)],
    ],
    "idle": [
        [claimed(), PROMOTED, *PASSING, claimed("b"), *enqueued("c")],
        [claimed(), PROMOTED, *PASSING, PROMOTED, claimed("b"), *enqueued("c")],
        [claimed(), PROMOTED, *PASSING, *enqueued("c")],
    ],
}
GOOD: dict[str, list[list[Line]]] = {
    "lost": [
        [("enqueueing", {"job": "a", "key": None})],  # nobody was told that it is there
        [of("published"), of("finishing", state="completed"), ("left", {"ids": 0})],
    ],
    "shared": [
        [claimed(), claimed(lease=2, since=10)],
        [claimed(valid=5), stepped(3), claimed(lease=2, since=10)],
        [claimed(), stepped(-1), claimed(lease=2, since=9)],
        [claimed(), of("finishing", state="waiting"), claimed(lease=2, since=1)],  # no reply
        [claimed(), claimed(lease=3, since=20)],  # whoever had the second did not live to tell
        [  # the first reply was lost, and the second time it was given out already
            *(claimed(), of("finishing", state="delayed"), of("finished", state=None)),
            claimed(lease=2, since=1),
        ],
    ],
    "late": [
        [claimed(valid=5), *PASSING, claimed(lease=2, since=20)],
        [claimed(valid=5), stepped(-9), *PASSING, *PASSING, claimed(lease=2, since=20)],
    ],
    "stale": [
        [
            *(claimed(), of("finishing", state="waiting"), claimed(lease=2)),
            of("finished", state="waiting"),  # the reply comes late, the request did not
        ],
        [claimed(), claimed(lease=2), of("finishing"), of("finished", state=None)],
    ],
    "doubled": [
        [*enqueued(key="k"), of("finishing", state="completed"), *enqueued("b", key="k")],
        [*enqueued(key="k"), ("enqueued", {"job": "a", "key": "k"})],  # it stands for another
    ],
    "exceeded": [[TWO[0], of("finishing", state="completed"), TWO[1]]],
    "hurried": [[claimed(), claimed("b", since=1), claimed("c", since=5)]],
    "slots": [[fired(1), slot(1), slot(2), series(2, limit=2)], [series(0)]],
    "idle": [
        [claimed(), PROMOTED, *PASSING[:9], claimed("b"), *enqueued("c")],
        [claimed(), PROMOTED, claimed("b"), *PASSING, *enqueued("c")],
        [*enqueued(), claimed(), PROMOTED, *PASSING],  # there was nothing left
        [claimed(), ("gone", {"name": "p"}), PROMOTED, *PASSING, *enqueued("c")],
        [PROMOTED, *PASSING, claimed(), *enqueued("c")],  # it came later
    ],
    "invented": [[("putting", {"key": "s"}), slot(1)]],
}


@pytest.mark.parametrize(("name", "lines"), [(n, h) for n, all_ in BAD.items() for h in all_])
def test_it_is_seen(name: str, lines: list[Line]) -> None:
    assert name in violations(history(*lines), RULES)


@pytest.mark.parametrize(("name", "lines"), [(n, h) for n, all_ in GOOD.items() for h in all_])
def test_nobody_is_blamed(name: str, lines: list[Line]) -> None:
    assert name not in violations(history(*lines), RULES)


def test_a_perfect_history() -> None:
    again = [
        *enqueued("b"),
        claimed("b", since=100),
        claimed("b", lease=2, since=200),
        *done("b", 2),
    ]
    assert violations(history(*PERFECT, *again), Rules()) == {}


def test_every_check_is_tested() -> None:
    assert {*BAD, *LOCKS} == {*CHECKS}
