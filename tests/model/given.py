"""What the steps of a store are given: few names, so that they meet, and seldom what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from oqron_sql.contract import AttemptRecord, FetchOptions, Job, JobOptions, JobState, RateLimit
from oqron_sql.contract.options import Backoff, Deduplication, Group, Repeat
from tests.model.choosing import Choices
from tests.model.twins import HALF, START, TICK, ticks

QUEUES = ("q", "Q")
NAMES = ("a", "A", "ä_%")
GROUPS = ("g", "G", "h")
KEYS = ("k", "K")
IDS = tuple(f"j{n}" for n in range(24))
WORKERS = ("w1", "w2")
STATES = tuple(JobState)
TEXTS = ("", "boom", "nul \x00 and \ud800", "ÄÖ", "x" * 300)
PAYLOADS: tuple[Any, ...] = (None, 0, 1.5, "text", 'q"%_\\', {"k": [1, "Zürich"]}, [], True)
WRONG_PAYLOADS = (float("nan"), {1: 2}, "\ud800", {"k": object()})
WRONG_UPDATES: tuple[dict[str, Any], ...] = (
    {"no_such": 1},
    {"created_at": START},
    {"returnvalue": float("nan")},
    {"progress": math.inf},
)
RETENTION: tuple[Any, ...] = (False, False, True, 0, 1, 2, ticks(0), ticks(3), ticks(30))
POLICIES: tuple[Any, ...] = ("fail", "fail", "ignore", "remove")
BACKOFFS: tuple[Any, ...] = ("fixed", "exponential", "custom")
STATUSES: tuple[Any, ...] = ("failed", "completed", None)


class Given(Choices):
    """Gives each step what it is called with."""

    def queue(self) -> str:
        return self.one((*QUEUES[:1] * 3, *QUEUES))

    def name(self) -> str:
        return self.one(NAMES)

    def group(self) -> str:
        return self.one(GROUPS)

    def key(self) -> str:
        return self.one(KEYS)

    def id(self) -> str:
        return self.one(IDS)

    def worker(self) -> str:
        return self.one(WORKERS)

    def state(self) -> JobState:
        return self.one(STATES)

    def states(self, least: int = 0) -> list[JobState]:
        return self.several(self.state, 2, least)

    def text(self) -> str:
        return self.one(TEXTS)

    def texts(self) -> list[str]:
        return self.several(self.text, 2)

    def payload(self) -> Any:
        return self.one(PAYLOADS)

    def wrong_payload(self) -> Any:
        return self.one(WRONG_PAYLOADS)

    def few(self) -> int:
        return self.below(5)

    def lock(self) -> timedelta:
        return ticks(self.one((0, 3, 10, 30, 100)))

    def instant(self) -> datetime:
        return START + (self.below(131) - 10) * HALF

    def lease(self) -> int:
        return self.below(3)

    def seldom_true(self) -> bool:
        return self.below(8) == 7

    def options(self) -> JobOptions:
        """Return options as an application gives them."""
        key, group = self.maybe(self.key), self.maybe(self.group)
        hashed = self.seldom_true()
        ttl = self.maybe(lambda: ticks(self.one((0, 4))))
        room = self.maybe(lambda: 1 + self.below(2))
        return JobOptions(
            attempts=self.one((1, 1, 3)),
            backoff=self.usually(None, self._backoff),
            lifo=self.seldom_true(),
            timeout=self.usually(None, lambda: TICK),
            job_id=self.usually(None, self.id),
            priority=self.one((0, 0, 0, -1, 5)),
            delay=self.maybe(lambda: ticks(self.one((0, 1, 2, 5, 20, 100)))),
            deduplication=None if key is None else Deduplication(key=key, hash=hashed, ttl=ttl),
            group=None if group is None else Group(id=group, max_size=room),
            remove_on_complete=self.one(RETENTION),
            remove_on_fail=self.one(RETENTION),
            repeat=self.usually(None, lambda: Repeat(every=TICK)),
            fail_parent_on_child_failure=self.one(POLICIES),
        )

    def job(self, queue: str | None = None) -> Job:
        """Return a job to be saved; now and then one that another system wrote, or a wrong one."""
        opts = self.options()
        made = Job(
            id=self.id(),
            queue_name=self.queue() if queue is None else queue,
            name=self.name(),
            data=self.usually(1, self.payload, 3),
            opts=opts,
            state=JobState.DELAYED if opts.delay else JobState.WAITING,
            deduplication_key=opts.deduplication.key if opts.deduplication else None,
            group_id=opts.group.id if opts.group else None,
        )
        if self.below(5) == 4:
            for name, make in self._unusual.items():
                setattr(made, name, self.usually(getattr(made, name), make, 4))
        name = self.seldom("", [*self._refused])
        if name:
            setattr(made, name, self._refused[name]())
        return made

    def jobs(self, queue: str) -> list[Job]:
        return self.several(lambda: self.job(queue), 5)

    def flow(self) -> list[Job]:
        """Return a tree as a producer makes it: children before their parents, two levels deep."""
        parent, children = self.job(), self.several(self.job, 3, 1)
        below = [self.several(self.job, 2, 1) if self.below(4) == 3 else [] for _ in children]
        made = [job for pair in zip(below, children, strict=True) for job in (*pair[0], pair[1])]
        made.append(parent)
        if self.below(10) < 9:  # else the same id may come twice
            first = self.below(len(IDS))
            for n, job in enumerate(made):
                job.id = IDS[(first + n) % len(IDS)]
        for child, grandchildren in zip(children, below, strict=True):
            if grandchildren:
                _link(child, grandchildren)
        _link(parent, children)
        return made

    def updates(self) -> dict[str, Any]:
        """Return what to write over a job; now and then what is refused."""
        wrong: dict[str, Any] = self.seldom({}, WRONG_UPDATES, 20)
        if wrong:
            return wrong
        names = self.several(lambda: self.one([*self._updates, *["state"] * 4]), 3)
        return {name: self._updates[name]() for name in names}

    def fetching(self) -> FetchOptions:
        """Return which jobs a fetch may take."""
        return FetchOptions(
            lifo=self.one((False, False, True)),
            job_name=self.usually(None, self.name, 5),
            group_concurrency=self.maybe(lambda: 1 + self.below(2)),
            exclude_groups=self.usually([], lambda: self.several(self.group, 2), 5),
            rate_limit=self.usually(None, self._rate_limit, 4),
            max_active=self.usually(None, lambda: 1 + self.below(4), 4),
        )

    def _backoff(self) -> Backoff:
        kind = self.one(BACKOFFS)
        return Backoff(
            type=kind,
            delay=self.one((ticks(0) * 0, TICK)),
            strategy=kind if kind == "custom" else None,
        )

    def _attempts(self) -> list[AttemptRecord]:
        return self.several(self._attempt, 2)

    def _attempt(self) -> AttemptRecord:
        return AttemptRecord(
            attempt=1 + self.below(3),
            started_at=self.maybe(self.instant),
            ended_at=self.maybe(self.instant),
            status=self.one(STATUSES),
            error=self.maybe(self.text),
            stacktrace=self.maybe(self.text),
            logs=self.texts(),
        )

    def _rate_limit(self) -> RateLimit:
        return RateLimit(max=1 + self.below(3), duration=ticks(self.one((2, 9))))

    def _maybe(self, make: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: self.maybe(make)

    def _ids(self) -> list[str]:
        return self.several(self.id, 2)

    @property
    def _written(self) -> Mapping[str, Callable[[], Any]]:
        """What both another system's jobs and updates may say."""
        return {
            "state": self.state,
            "returnvalue": self.payload,
            "failed_reason": self._maybe(self.text),
            "deduplication_key": self._maybe(self.key),
            "logs": self.texts,
            "stacktrace": self.texts,
            "attempt_logs": self._attempts,
            "lost_count": self.few,
            "processed_at": self._maybe(self.instant),
            "completed_at": self._maybe(self.instant),
            "failed_at": self._maybe(self.instant),
            "delay_until": self._maybe(self.instant),
            "lock_until": self._maybe(self.instant),
            "locked_by": self._maybe(self.worker),
            "pending_children_count": self.few,
            "children_ids": self._ids,
            "group_id": self._maybe(self.group),
            "attempts_made": self.few,
            "cancelled_at": self._maybe(self.instant),
            "discarded": lambda: self.one((False, True)),
        }

    @property
    def _unusual(self) -> Mapping[str, Callable[[], Any]]:
        return {
            **self._written,
            "created_at": self._maybe(self.instant),
            "lease": self.lease,
            "parent_id": self.id,
            "parent_queue_name": self.queue,
            "progress": lambda: self.one((0, 50, 99.5)),
        }

    @property
    def _refused(self) -> Mapping[str, Callable[[], Any]]:
        return {
            "queue_name": self.queue,
            "data": self.wrong_payload,
            "returnvalue": self.wrong_payload,
            "created_at": lambda: datetime(2030, 1, 1),
            "lock_until": lambda: datetime(2030, 1, 1),
        }

    @property
    def _updates(self) -> Mapping[str, Callable[[], Any]]:
        return {
            **self._written,
            "data": self.payload,
            "progress": lambda: self.one((0, 12.5, 100)),
            "parent_id": self._maybe(self.id),
            "parent_queue_name": self._maybe(self.queue),
            "opts": self.options,
        }


def _link(parent: Job, children: list[Job]) -> None:
    for child in children:
        child.parent_id, child.parent_queue_name = parent.id, parent.queue_name
    parent.state = JobState.WAITING_CHILDREN
    parent.pending_children_count = len(children)
    parent.children_ids = [child.id for child in children]
