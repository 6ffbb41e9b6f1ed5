"""What the steps are given: few names, so that they meet, and at most one thing to be refused."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from oqron_sql.contract import FetchOptions, Job, JobOptions, JobState, RateLimit
from oqron_sql.contract.options import Deduplication, Group, Repeat
from tests.model.twins import HALF, START, TICK, ticks

QUEUES = ("q", "Q")
NAMES = ("a", "A", "ä_%")
GROUPS = ("g", "G", "h")
KEYS = ("k", "K")
IDS = tuple(f"j{n}" for n in range(14))
WORKERS = ("w1", "w2")

queues = st.sampled_from(QUEUES)
names = st.sampled_from(NAMES)
groups = st.sampled_from(GROUPS)
keys = st.sampled_from(KEYS)
ids = st.sampled_from(IDS)
workers = st.sampled_from(WORKERS)
states = st.sampled_from(JobState)
few = st.integers(0, 4)
spans = st.sampled_from([0, 1, 2, 5, 20, 100]).map(ticks)
locks = st.sampled_from([0, 1, 3, 10, 100]).map(ticks)
instants: st.SearchStrategy[datetime] = st.integers(-10, 120).map(lambda n: START + n * HALF)
payloads: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, 1.5, "text", 'q"%_\\', {"k": [1, "Zürich"]}, [], True]
)
texts = st.sampled_from(["", "boom", "nul \x00 and \ud800", "ÄÖ", "x" * 300])
wrong_payloads: st.SearchStrategy[Any] = st.sampled_from(
    [float("nan"), {1: 2}, "\ud800", {"k": object()}]
)
wrong_instants = st.just(datetime(2030, 1, 1))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy of None, more often than not, or what `strategy` gives."""
    return st.one_of(st.none(), st.none(), strategy)


def usually(value: Any, strategy: st.SearchStrategy[Any], of: int = 8) -> st.SearchStrategy[Any]:
    """Return a strategy of `value`, but once in so many what `strategy` gives."""
    return st.integers(1, of).flatmap(lambda n: strategy if n == of else st.just(value))


retention: st.SearchStrategy[Any] = st.sampled_from(
    [False, False, True, 0, 1, 2, ticks(0), ticks(3), ticks(30)]
)


@st.composite
def options(draw: st.DrawFn) -> JobOptions:
    """Return options as an application gives them."""
    key, group = draw(maybe(keys)), draw(maybe(groups))
    ttl = draw(maybe(st.sampled_from([ticks(0), ticks(4)])))
    return JobOptions(
        priority=draw(st.sampled_from([0, 0, 0, -1, 5])),
        delay=draw(maybe(spans)),
        deduplication=None if key is None else Deduplication(key=key, ttl=ttl),
        group=None if group is None else Group(id=group, max_size=draw(maybe(st.integers(1, 2)))),
        remove_on_complete=draw(retention),
        remove_on_fail=draw(retention),
        repeat=draw(usually(None, st.just(Repeat(every=TICK)))),
        fail_parent_on_child_failure=draw(st.sampled_from(["fail", "fail", "ignore", "remove"])),
    )


@st.composite
def jobs(draw: st.DrawFn, queue: str | None = None) -> Job:
    """Return a job to be saved; now and then one that another system wrote, or that is refused."""
    opts = draw(options())
    made = Job(
        id=draw(ids),
        queue_name=draw(queues) if queue is None else queue,
        name=draw(names),
        data=draw(usually(1, payloads, 3)),
        opts=opts,
        state=JobState.DELAYED if opts.delay else JobState.WAITING,
        deduplication_key=opts.deduplication.key if opts.deduplication else None,
        group_id=opts.group.id if opts.group else None,
    )
    kind = draw(st.sampled_from(["usual"] * 8 + ["unusual", "unusual", "refused"]))
    if kind == "unusual":
        for name, strategy in UNUSUAL.items():
            setattr(made, name, draw(usually(getattr(made, name), strategy, 4)))
    elif kind == "refused":
        name = draw(st.sampled_from([*REFUSED]))
        setattr(made, name, draw(REFUSED[name]))
    return made


UNUSUAL: dict[str, st.SearchStrategy[Any]] = {
    "state": states,
    "created_at": usually(None, instants, 2),
    "processed_at": maybe(instants),
    "completed_at": maybe(instants),
    "failed_at": maybe(instants),
    "delay_until": maybe(instants),
    "lock_until": maybe(instants),
    "locked_by": maybe(workers),
    "lease": st.integers(0, 2),
    "parent_id": ids,
    "parent_queue_name": queues,
    "pending_children_count": few,
    "children_ids": st.lists(ids, max_size=2),
    "attempts_made": few,
    "progress": st.sampled_from([0, 50, 99.5]),
    "group_id": maybe(groups),
    "deduplication_key": maybe(keys),
    "returnvalue": payloads,
    "failed_reason": maybe(texts),
    "logs": st.lists(texts, max_size=2),
    "stacktrace": st.lists(texts, max_size=2),
}
REFUSED: dict[str, st.SearchStrategy[Any]] = {
    "queue_name": queues,
    "data": wrong_payloads,
    "returnvalue": wrong_payloads,
    "created_at": wrong_instants,
    "lock_until": wrong_instants,
}


@st.composite
def flows(draw: st.DrawFn) -> list[Job]:
    """Return a tree as a producer makes it: children before their parents, two levels at most."""
    parent, children = draw(jobs()), draw(st.lists(jobs(), min_size=1, max_size=3))
    made: list[Job] = []
    for child in children:
        grandchildren = draw(usually([], st.lists(jobs(), min_size=1, max_size=2), 4))
        if grandchildren:
            _link(child, grandchildren)
        made += [*grandchildren, child]
    _link(parent, children)
    return [*made, parent]


def _link(parent: Job, children: list[Job]) -> None:
    for child in children:
        child.parent_id, child.parent_queue_name = parent.id, parent.queue_name
    parent.state = JobState.WAITING_CHILDREN
    parent.pending_children_count = len(children)
    parent.children_ids = [child.id for child in children]


@st.composite
def fetching(draw: st.DrawFn) -> FetchOptions:
    """Return which jobs a fetch may take."""
    return FetchOptions(
        lifo=draw(st.sampled_from([False, False, True])),
        job_name=draw(usually(None, names, 5)),
        group_concurrency=draw(maybe(st.integers(1, 2))),
        exclude_groups=draw(usually((), st.lists(groups, max_size=2, unique=True), 5)),
        rate_limit=draw(usually(None, rate_limits, 4)),
        max_active=draw(usually(None, st.integers(1, 4), 4)),
    )


rate_limits = st.builds(
    lambda most, span: RateLimit(max=most, duration=span),
    st.integers(1, 3),
    st.sampled_from([ticks(2), ticks(9)]),
)

UPDATES: dict[str, st.SearchStrategy[Any]] = {
    "state": states,
    "data": payloads,
    "progress": st.sampled_from([0, 12.5, 100]),
    "returnvalue": payloads,
    "failed_reason": maybe(texts),
    "deduplication_key": maybe(keys),
    "logs": st.lists(texts, max_size=2),
    "stacktrace": st.lists(texts, max_size=2),
    "processed_at": maybe(instants),
    "completed_at": maybe(instants),
    "failed_at": maybe(instants),
    "cancelled_at": maybe(instants),
    "delay_until": maybe(instants),
    "lock_until": maybe(instants),
    "locked_by": maybe(workers),
    "parent_id": maybe(ids),
    "parent_queue_name": maybe(queues),
    "pending_children_count": few,
    "children_ids": st.lists(ids, max_size=2),
    "group_id": maybe(groups),
    "attempts_made": few,
    "discarded": st.booleans(),
    "opts": options(),
}
wrong_updates = st.sampled_from(
    [{"no_such": 1}, {"created_at": START}, {"returnvalue": float("nan")}, {"progress": math.inf}]
)
updates: st.SearchStrategy[dict[str, Any]] = st.one_of(
    *[
        st.lists(st.sampled_from([*UPDATES, *["state"] * 4]), max_size=3, unique=True).flatmap(
            lambda chosen: st.fixed_dictionaries({name: UPDATES[name] for name in chosen})
        )
    ]
    * 8,
    wrong_updates,
)
