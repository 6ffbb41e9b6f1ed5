"""The steps of a store that only look, and what leaves an order open."""

from __future__ import annotations

from oqron_sql.contract import JobState, SearchFilter
from oqron_sql.contract.model import FINISHED
from tests.model.given import IDS, QUEUES, Given
from tests.model.schedule_steps import ScheduleSteps
from tests.model.twins import HALF, START, TICK, rarely, step

MANY = 100
SLICES = ((0, 100), (0, 1), (1, 3), (2, 1), (-1, 2))
FEW = (50, 0, 1, 3)
# SQLite knows the two cases of ASCII letters alone.
SOUGHT = ("a", "A", "ä", "_", "%", "_%", "nul\x00")


class LookingSteps(ScheduleSteps):
    """Where equal instants leave an order open, all is asked for, and compared in any order."""

    def ties(self, queue: str, state: JobState, member: str) -> bool:
        """Whether equal instants leave it open which jobs come first: no index has more."""
        jobs = self.twins.reference.list_jobs(queue, state)
        instants = [getattr(job, member) for job in jobs]
        return len(set(instants)) < len(instants)

    def known(self, some: Given) -> tuple[str, str]:
        """Return a queue and an id, most often of a job that is there."""
        queue, job_id = some.queue(), some.id()
        there = self.twins.reference.search_jobs(SearchFilter(queue_name=queue)).jobs
        return queue, some.usually(job_id, lambda: some.one(there).id, 2) if there else job_id

    @step
    def list_jobs(self, some: Given) -> None:
        self.list(some.queue(), some.state(), some.one(SLICES))

    def list(self, queue: str, state: JobState, part: tuple[int, int]) -> None:
        """Where those stand that were saved without their end differs from database to database."""
        jobs = self.twins.reference.list_jobs(queue, state)
        ends = [job.completed_at if state is JobState.COMPLETED else job.failed_at for job in jobs]
        untold = state in FINISHED and None in ends
        # One call may fail several, and parents: at one instant in memory, one by one in SQL.
        untold |= state is JobState.FAILED and len(set(ends)) < len(ends)
        self.call("list_jobs", queue, state, *((0, MANY) if untold else part), in_any_order=untold)

    @step
    def search_jobs(self, some: Given) -> None:
        wanted = SearchFilter(
            queue_name=some.maybe(some.queue),
            states=tuple(some.states()),
            name=some.maybe(lambda: some.one(SOUGHT)),
            created_after=some.maybe(some.instant),
            created_before=some.maybe(some.instant),
        )
        self.call("search_jobs", wanted, *some.one(SLICES))

    @rarely
    def search_by_payload(self, some: Given) -> None:
        text = some.one(("T", "Zür", "%", "\\", '"', "1", ""))
        self.call("search_by_payload", some.queue(), text, some.one(FEW))

    @rarely
    def search_by_name(self, some: Given) -> None:
        self.call("search_by_name", some.one(SOUGHT), some.maybe(some.queue), some.one(FEW))

    @step
    def find_job_by_id(self, some: Given) -> None:
        """If several queues have the id, it may be the job of any: then only that there is one."""
        job_id = some.one(IDS)
        owners = [q for q in QUEUES if self.twins.reference.get_job(q, job_id)]
        if len(owners) <= 1:
            self.call("find_job_by_id", job_id)

    @step
    def look_at_queue(self, some: Given) -> None:
        self.look_at(some.queue())

    def look_at(self, queue: str) -> None:
        for method in ("get_job_counts", "get_next_delayed_timestamp", "get_active_count"):
            self.call(method, queue)
        outlook = self.call("get_outlook", queue)
        assert outlook.store.expired >= outlook.reference.expired
        tied = self.ties(queue, JobState.ACTIVE, "lock_until")
        self.call("get_stalled_jobs", queue, in_any_order=tied)

    @step
    def get_stalled_jobs(self, some: Given) -> None:
        queue, threshold, limit = some.queue(), some.lock(), some.one((MANY, 0, 1, 2))
        tied = self.ties(queue, JobState.ACTIVE, "lock_until")
        limit = MANY if tied else limit
        self.call("get_stalled_jobs", queue, threshold, limit=limit, in_any_order=tied)

    @step
    def look_at_group(self, some: Given) -> None:
        queue, group = some.queue(), some.group()
        self.call("get_group_active_count", queue, group)
        self.call("get_waiting_group_count", queue, group)

    @step
    def count_jobs(self, some: Given) -> None:
        self.call("count_jobs", some.queue(), some.state())

    @step
    def get_children_jobs(self, some: Given) -> None:
        self.call("get_children_jobs", *self.known(some))

    @step
    def look_at_all_queues(self, some: Given) -> None:
        self.call("list_queues")
        self.call("list_flow_parents", some.maybe(some.state), some.one(FEW))

    @step
    def get_metrics(self, some: Given) -> None:
        granularity = some.seldom(some.one(("minute", "hour")), ["day"])
        start = some.instant()
        self.call("get_metrics", some.queue(), granularity, start, start + some.below(200) * HALF)

    def metrics(self, queue: str, granularity: str) -> None:
        self.call("get_metrics", queue, granularity, START - 9999 * TICK, START + 999_999 * TICK)

    def look(self) -> None:
        """All that can be read of every queue: jobs with their logs and attempts, counts, order."""
        self.call("list_queues")
        self.call("list_flow_parents")
        self.call("list_schedules")
        for queue in QUEUES:
            self.look_at(queue)
            self.call("get_paused_job_names", queue)
            self.metrics(queue, "minute")
            for state in JobState:
                self.list(queue, state, (0, MANY))
