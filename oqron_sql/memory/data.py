"""What a memory store remembers, and the indexes that keep it in order."""

from __future__ import annotations

import dataclasses
import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta

from oqron_sql.contract.model import Granularity, Job, JobState
from oqron_sql.contract.schedules import Schedule
from oqron_sql.hiding import hiding


@hiding("data", "returnvalue")
@dataclasses.dataclass(slots=True, eq=False)
class Record:
    """One stored job; its payload and return value live here as JSON, not in `job`."""

    job: Job
    data: str
    returnvalue: str
    seq: int = 0
    parent_notified: bool = False
    dedup_until: datetime | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Where the job stands among the waiting ones."""
        return self.job.opts.priority, self.seq


@dataclasses.dataclass(slots=True)
class Bucket:
    """What ended in one period under one job name."""

    completed: int = 0
    failed: int = 0
    total_ms: int = 0
    min_ms: int | None = None
    max_ms: int | None = None


class QueueData:
    """Everything about one queue."""

    def __init__(self) -> None:
        self.jobs: dict[str, Record] = {}
        self.states: dict[JobState, dict[int, Record]] = {state: {} for state in JobState}
        self.slots: dict[str, Record] = {}
        self.paused_names: set[str] = set()
        self.paused = False
        self.turns: dict[str | None, int] = {}
        self.last_turn = 0
        self.leases_taken: dict[timedelta, deque[datetime]] = {}
        self.buckets: dict[tuple[str, Granularity, datetime], Bucket] = {}
        # When, which job, under which lease, and how it ended.
        self.expiries: list[tuple[datetime, int, int, JobState]] = []
        self.schedules: dict[str, Schedule] = {}
        self.kept: dict[tuple[JobState, int], dict[int, int]] = {}
        self._order: list[tuple[int, int]] = []

    def index(self, record: Record) -> None:
        """Enter the record under its state."""
        self.states[record.job.state][record.seq] = record
        if record.job.state is JobState.WAITING:
            insort(self._order, record.place)

    def unindex(self, record: Record) -> None:
        """Undo `index`; before the state or the priority changes."""
        del self.states[record.job.state][record.seq]
        if record.job.state is JobState.WAITING:
            del self._order[bisect_left(self._order, record.place)]

    def waiting(self, *, lifo: bool) -> Iterator[Record]:
        """Yield the waiting jobs, best first; the queue must not change meanwhile."""
        waiting = self.states[JobState.WAITING]
        for _, seq in self._newest_first() if lifo else self._order:
            yield waiting[seq]

    def _newest_first(self) -> Iterator[tuple[int, int]]:
        start = 0
        while start < len(self._order):
            stop = bisect_left(self._order, (self._order[start][0] + 1, 0))
            for position in range(stop - 1, start - 1, -1):
                yield self._order[position]
            start = stop

    def holder(self, key: str, now: datetime) -> Record | None:
        """Return the live job that holds a deduplication key and whose TTL is not over."""
        record = self.slots.get(key)
        if record is None or (record.dedup_until is not None and record.dedup_until < now):
            return None
        return record


class MemoryData:
    """The jobs of one or more memory stores; those given the same one share them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.queues: dict[str, QueueData] = {}
        self.last_seq = 0

    def next_seq(self) -> int:
        """Return the place of the next job in the order of insertion, over all queues."""
        self.last_seq += 1
        return self.last_seq
