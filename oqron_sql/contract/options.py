"""What can be asked of a job and of a fetch, with defaults and validation.

The members and defaults are those of Conveyor's `JobOptions` and `FetchOptions`; durations are
timedeltas, custom backoff is named (a function cannot be stored) and `max_active` is new.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from oqron_sql.contract.checks import (
    check_count,
    check_duration,
    check_instant,
    check_kind,
    check_name,
)
from oqron_sql.contract.cron import parse_cron, parse_zone
from oqron_sql.errors import InvalidInput

SHORTEST = timedelta(seconds=1)
"""How close the times of a series may be."""
LONGEST = timedelta(days=36_525)
LARGEST = 2**63 - 1
PRIORITY_RANGE = range(-(2**31), 2**31)

ChildPolicy = Literal["fail", "ignore", "remove"]
Retention = bool | int | timedelta

_BACKOFF = 'Backoff(type="exponential", delay=timedelta(seconds=1))'
_DEDUPLICATION = 'Deduplication(key="digest of ada")'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before the next attempt; `strategy` names one registered on the worker."""

    type: Literal["fixed", "exponential", "custom"] = "fixed"
    delay: timedelta = timedelta(0)
    strategy: str | None = None

    def __post_init__(self) -> None:
        if self.type not in ("fixed", "exponential", "custom"):
            raise InvalidInput("backoff.type", self.type, "must be fixed, exponential or custom")
        check_duration("backoff.delay", self.delay)
        if (self.type == "custom") != (self.strategy is not None):
            raise InvalidInput("backoff.strategy", self.strategy, 'goes with type "custom"')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """When to run again: a cron expression or an interval, within optional bounds.

    A cron expression has five fields, or six with seconds first, or is an alias such as `@daily`;
    it is read in the time zone `tz`, by default UTC. An interval is at least a second. `start` may
    be the first time, `end` is none any more, and `limit` is how many times in all.
    """

    cron: str | None = None
    every: timedelta | None = None
    limit: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    tz: str | None = None

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.every is None):
            raise InvalidInput("repeat", self, "needs either cron or every")
        if self.every is not None:
            check_duration("repeat.every", self.every)
            if not SHORTEST <= self.every <= LONGEST:
                problem = "must be at least a second, and at most a century"
                raise InvalidInput("repeat.every", self.every, problem)
        if self.limit is not None:
            check_count("repeat.limit", self.limit, least=1)
            if self.limit > LARGEST:
                raise InvalidInput("repeat.limit", self.limit, "must fit into 64 bits")
        for field, bound in (("repeat.start", self.start), ("repeat.end", self.end)):
            if bound is not None and not 1970 <= check_instant(field, bound).year < 9999:
                raise InvalidInput(field, bound, "must lie in the years 1970 to 9998")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise InvalidInput("repeat.end", self.end, "must be after repeat.start")
        if self.cron is not None:
            parse_cron(self.cron, self.tz)
        elif self.tz is not None:
            parse_zone(self.tz)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deduplication:
    """One live job per key; `key` wins over `hash` (of the payload). `ttl` counts from creation."""

    key: str | None = None
    hash: bool = False
    ttl: timedelta | None = None

    def __post_init__(self) -> None:
        if self.key is None and not self.hash:
            raise InvalidInput("deduplication", self, "needs a key or hash=True")
        if self.key is not None:
            check_name("deduplication.key", self.key)
        if self.ttl is not None:
            check_duration("deduplication.ttl", self.ttl, positive=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The group a job belongs to; `max_size` bounds how many of it may wait."""

    id: str
    max_size: int | None = None

    def __post_init__(self) -> None:
        check_name("group.id", self.id)
        if self.max_size is not None:
            check_count("group.max_size", self.max_size, least=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How one job is to be run.

    `attempts` is the total number of tries. Lower `priority` runs first. `delay` counts from the
    moment of saving, by the store's clock; a `repeat.start` wins over it. `remove_on_complete` and
    `remove_on_fail` keep a finished job for ever (False), not at all (True), for a span of time,
    or as one of the newest so many. `lifo` and `repeat` are stored for Conveyor's callers, and a
    `Queue` refuses them: order is the fetcher's, and what repeats is a `Schedule`.
    """

    attempts: int = 1
    backoff: Backoff | None = None
    delay: timedelta | None = None
    repeat: Repeat | None = None
    priority: int = 0
    lifo: bool = False
    deduplication: Deduplication | None = None
    remove_on_complete: Retention = False
    remove_on_fail: Retention = False
    timeout: timedelta | None = None
    job_id: str | None = None
    fail_parent_on_child_failure: ChildPolicy = "fail"
    group: Group | None = None

    def __post_init__(self) -> None:
        check_count("attempts", self.attempts, least=1)
        check_count("priority", self.priority, least=PRIORITY_RANGE.start)
        if self.priority not in PRIORITY_RANGE:
            raise InvalidInput("priority", self.priority, "must fit into 32 bits")
        if self.backoff is not None:
            check_kind("backoff", self.backoff, Backoff, _BACKOFF)
        if self.repeat is not None:
            check_kind("repeat", self.repeat, Repeat, "Repeat(every=timedelta(hours=1))")
        if self.deduplication is not None:
            check_kind("deduplication", self.deduplication, Deduplication, _DEDUPLICATION)
        if self.group is not None:
            check_kind("group", self.group, Group, 'Group(id="ada")')
        if self.delay is not None:
            check_duration("delay", self.delay)
        if self.timeout is not None:
            check_duration("timeout", self.timeout, positive=True)
        if self.job_id is not None:
            check_name("job_id", self.job_id)
        if self.fail_parent_on_child_failure not in ("fail", "ignore", "remove"):
            raise InvalidInput(
                "fail_parent_on_child_failure",
                self.fail_parent_on_child_failure,
                "must be fail, ignore or remove",
            )
        for field in ("remove_on_complete", "remove_on_fail"):
            keep: Retention = getattr(self, field)
            if isinstance(keep, timedelta):
                check_duration(field, keep)
            elif not isinstance(keep, bool):
                check_count(field, keep)


DEFAULT_OPTIONS = JobOptions()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `max` leases in any span of `duration`; workers with one duration share a history."""

    max: int
    duration: timedelta

    def __post_init__(self) -> None:
        check_count("rate_limit.max", self.max, least=1)
        check_duration("rate_limit.duration", self.duration, positive=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """Which waiting jobs a fetch may lease, and in which order.

    `group_concurrency` or `exclude_groups` turn on group mode: groups take turns, and no group has
    more than `group_concurrency` active jobs (jobs without a group are not capped). `max_active`
    bounds the active jobs of the whole queue. Both bounds hold whatever else fetches concurrently
    with the same bound.
    """

    lifo: bool = False
    job_name: str | None = None
    group_concurrency: int | None = None
    exclude_groups: Sequence[str] = ()
    rate_limit: RateLimit | None = None
    max_active: int | None = None

    def __post_init__(self) -> None:
        if self.job_name is not None:
            check_name("job_name", self.job_name)
        if self.group_concurrency is not None:
            check_count("group_concurrency", self.group_concurrency, least=1)
        if self.max_active is not None:
            check_count("max_active", self.max_active, least=1)
        for group in self.exclude_groups:
            check_name("exclude_groups", group)

    @property
    def grouped(self) -> bool:
        """Whether groups take turns."""
        return self.group_concurrency is not None or bool(self.exclude_groups)


ANY = FetchOptions()
