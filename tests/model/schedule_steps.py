"""The steps of a store that are about series of jobs."""

from __future__ import annotations

import dataclasses
from typing import Any

from oqron_sql.contract import JobOptions
from oqron_sql.contract.options import Repeat
from oqron_sql.contract.schedules import Schedule
from tests.model.given import QUEUES, Given
from tests.model.twins import Steps, rarely, step, ticks

KEYS = ("s", "S", "ä_%")
CRONS = ("*/10 * * * *", "0 */6 * * *", "30 2 * * *", "0 0 29 2 *")
ZONES = (None, None, "Europe/Zurich", "America/New_York")
INTERVALS = (ticks(1), ticks(7), ticks(40))
ALL = 1000


class ScheduleSteps(Steps[Given]):
    """Where times are equal, all of the series are fired: which comes first is free."""

    @step
    def put_schedule(self, some: Given) -> None:
        queue = some.queue()
        schedule = Schedule(
            queue_name=some.seldom(queue, QUEUES),
            key=some.one(KEYS),
            name=some.name(),
            repeat=_repeat(some),
            data=some.seldom(some.payload(), WRONG),
            opts=_options(some),
            catchup=some.one(CATCHUPS),
        )
        self.call("put_schedule", queue, schedule)

    @step
    def pause_or_resume_schedule(self, some: Given) -> None:
        method = some.one(("resume_schedule", "pause_schedule", "resume_schedule"))
        self.call(method, some.queue(), some.one(KEYS))

    @rarely
    def remove_schedule(self, some: Given) -> None:
        self.call("remove_schedule", some.queue(), some.one(KEYS))

    @step
    def fire_schedules(self, some: Given) -> None:
        queue, limit = some.queue(), some.seldom(1 + some.below(4), [0, -1])
        due = [each.next_slot for each in self.twins.reference.list_schedules(queue)]
        if len(set(due)) < len(due) and limit > 0:
            limit = ALL
        self.call("fire_schedules", queue, limit=limit, in_any_order=True)

    @step
    def look_at_schedules(self, some: Given) -> None:
        self.call("get_schedule", some.queue(), some.one(KEYS))
        self.call("list_schedules", some.maybe(some.queue), *some.one(((0, 100), (1, 2), (2, 1))))


CATCHUPS: tuple[Any, ...] = ("latest", "all", "none")
WRONG: tuple[Any, ...] = (float("nan"), "\ud800")


def _repeat(some: Given) -> Repeat:
    """Return when: with a start, for without one it is the instant at which it was put."""
    start, limit = some.instant(), some.maybe(lambda: 1 + some.below(3))
    end = some.maybe(lambda: start + some.one(INTERVALS))
    if some.below(2):
        return Repeat(every=some.one(INTERVALS), start=start, end=end, limit=limit)
    known = some.usually(None, lambda: start, 2)
    return Repeat(cron=some.one(CRONS), tz=some.one(ZONES), start=known, end=end, limit=limit)


def _options(some: Given) -> JobOptions:
    opts = some.options()
    group = opts.group and dataclasses.replace(opts.group, max_size=None)
    return dataclasses.replace(opts, delay=None, repeat=None, job_id=None, group=group)
