"""Every step that a store can be asked for, in any order, told to the memory store as well."""

from __future__ import annotations

from typing import Any, cast

from oqron_sql.contract import (
    Complete,
    Fail,
    Job,
    JobState,
    JobUpdate,
    Outcome,
    Release,
    Retry,
)
from oqron_sql.contract.options import ANY
from tests.model.event_steps import EventSteps
from tests.model.given import QUEUES, WRONG_PAYLOADS, Given
from tests.model.looking_steps import MANY
from tests.model.twins import TICK, Both, Twins, often, rarely, step, ticks

KEPT_LEASES = 12
ENDED = (JobState.FAILED, JobState.COMPLETED)
LEASED_COPY = {"opts", "attempts_made", "processed_at", "parent_id", "parent_queue_name"}
LIMITS = (None, 0, 1, 2)


class StoreSteps(EventSteps):
    """Drives two stores, both of them empty."""

    given = Given

    def __init__(self, twins: Twins) -> None:
        super().__init__(twins)
        self.leases: list[Both] = []
        for queue in QUEUES:
            twins.listen(queue)

    # -- jobs ----------------------------------------------------------------------------------

    @often
    def save_job(self, some: Given) -> None:
        job = some.job()
        self.call("save_job", some.seldom(job.queue_name, QUEUES), job)

    @often
    def save_bulk(self, some: Given) -> None:
        queue = some.queue()
        self.call("save_bulk", queue, some.jobs(queue))

    @often
    def save_flow(self, some: Given) -> None:
        self.call("save_flow", some.flow())

    @step
    def get_job(self, some: Given) -> None:
        self.call("get_job", *self.known(some))

    @step
    def remove_job(self, some: Given) -> None:
        self.call("remove_job", *self.known(some))

    @step
    def cancel_job(self, some: Given) -> None:
        self.call("cancel_job", *self.known(some), unstarted=some.one((False, True)))

    @often
    def update_job(self, some: Given) -> None:
        (queue, job_id), updates = self.known(some), some.updates()
        found = self.twins.reference.get_job(queue, job_id)
        if found is not None and found.state is JobState.ACTIVE:
            # A worker's finish goes by the job as it was leased; what it says of that is free.
            updates = {name: each for name, each in updates.items() if name not in LEASED_COPY}
        self.call(
            "update_job",
            queue,
            job_id,
            cast("JobUpdate", updates),
            expected_state=some.usually(None, lambda: some.states(1), 3),
            lease=some.usually(None, some.lease, 6),
        )

    @step
    def append_logs(self, some: Given) -> None:
        lease = some.maybe(some.lease)
        self.call("append_logs", *self.known(some), some.texts(), lease=lease)

    @rarely
    def find_by_deduplication_key(self, some: Given) -> None:
        self.call("find_by_deduplication_key", some.queue(), some.key())

    # -- leases --------------------------------------------------------------------------------

    @often
    def fetch_jobs(self, some: Given) -> None:
        asked = some.queue(), some.worker(), some.lock(), some.few(), some.fetching()
        fetched = self.call("fetch_jobs", *asked)
        pairs = zip(fetched.reference or (), fetched.store or (), strict=True)
        self.leases = [*(Both(*pair) for pair in pairs), *self.leases][:KEPT_LEASES]

    @often
    def fetch_next_job(self, some: Given) -> None:
        opts = some.maybe(some.fetching) or ANY
        fetched = self.call("fetch_next_job", QUEUES[0], some.worker(), some.lock(), opts)
        if fetched.reference is not None:
            self.leases = [fetched, *self.leases][:KEPT_LEASES]

    def leased(self, some: Given, most: int) -> list[Both]:
        """Return some of the leases that were handed out, those that are lost by now included."""
        return some.several(lambda: some.one(self.leases), most, 1) if self.leases else []

    @often
    def finish_jobs(self, some: Given, most: int = 4) -> None:
        told = [(lease, self.outcome(some, lease)) for lease in self.leased(some, most)]
        if told:
            outcomes = Both([each.reference for _, each in told], [each.store for _, each in told])
            self.call("finish_jobs", told[0][0].reference.queue_name, outcomes)

    @often
    def finish_one(self, some: Given) -> None:
        self.finish_jobs(some, most=1)

    def outcome(self, some: Given, lease: Both) -> Both:
        kind, value, reason = some.below(4), some.payload(), some.text()
        delay, trace = some.one((ticks(0) * 0, ticks(3))), some.maybe(some.text)
        value = some.seldom(value, WRONG_PAYLOADS, 30)

        def of(job: Job) -> Outcome:
            made: Outcome = (
                Complete(job, value),
                Fail(job, reason, trace),
                Retry(job, reason, delay, trace),
                Release(job),
            )[kind]
            return made

        return Both(of(lease.reference), of(lease.store))

    @step
    def ask_for_leases(self, some: Given) -> None:
        chosen = self.leased(some, 4)
        if chosen:
            jobs = Both([each.reference for each in chosen], [each.store for each in chosen])
            queue = chosen[0].reference.queue_name
            if some.below(2):
                self.call("check_locks", queue, jobs)
            else:
                self.call("extend_locks", queue, jobs, some.lock())

    @step
    def use_one_lease(self, some: Given) -> None:
        method = some.one(("extend_lock", "release_lock", "append_logs", "update_job"))
        given: dict[str, list[Any]] = {
            "extend_lock": [some.lock()],
            "append_logs": [["line"]],
            "update_job": [{"progress": 7}],
        }
        for each in self.leased(some, 1):
            job = each.reference
            self.call(method, job.queue_name, job.id, *given.get(method, []), lease=job.lease)

    @step
    def extend_without_lease(self, some: Given) -> None:
        self.call("extend_lock", *self.known(some), some.lock())

    @step
    def release_without_lease(self, some: Given) -> None:
        self.call("release_lock", *self.known(some))

    @step
    def recover_lost(self, some: Given) -> None:
        queue, limit, max_lost = some.queue(), some.below(4), some.below(3)
        tied = self.ties(queue, JobState.ACTIVE, "lock_until")
        limit = MANY if tied else limit
        self.call("recover_lost", queue, limit=limit, max_lost=max_lost, in_any_order=tied)

    # -- queues --------------------------------------------------------------------------------

    @step
    def pause_or_resume(self, some: Given) -> None:
        method = some.one(("pause_job_name", "resume_job_name", "resume_job_name"))
        self.call(method, some.queue(), some.usually(some.name(), lambda: "__all__", 3))

    @step
    def promote_delayed_jobs(self, some: Given) -> None:
        queue, timestamp, limit = some.queue(), some.maybe(some.instant), some.one(LIMITS)
        if self.ties(queue, JobState.DELAYED, "delay_until"):
            limit = None
        self.call("promote_delayed_jobs", queue, timestamp, limit=limit)

    @rarely
    def change_all(self, some: Given) -> None:
        self.call(some.one(("promote_jobs", "drain")), some.queue())

    @rarely
    def clean(self, some: Given) -> None:
        grace = some.one((ticks(0) * 0, ticks(5), -TICK))
        self.call("clean", some.queue(), some.state(), grace, limit=some.one(LIMITS))

    @rarely
    def obliterate(self, some: Given) -> None:
        self.call("obliterate", some.queue(), force=some.one((False, True)))

    @step
    def remove_expired(self, some: Given) -> None:
        queue, limit = some.queue(), some.below(3)
        data = self.twins.reference.data.queues.get(queue)
        due = [instant for instant, *_ in data.expiries] if data else []
        self.call("remove_expired", queue, limit=limit if len(set(due)) == len(due) else MANY)

    @step
    def retry_jobs(self, some: Given) -> None:
        state = some.usually(some.one(ENDED), some.state)
        self.call("retry_jobs", some.queue(), state)

    @rarely
    def aggregate_metrics(self, some: Given) -> None:
        self.call("aggregate_metrics")

    @step
    def pass_time(self, some: Given) -> None:
        self.twins.clock.advance(some.one((1, 1, 7, 7, 7, 40, 1000)) * TICK)

    # -- trees ---------------------------------------------------------------------------------

    @step
    def notify_child_completed(self, some: Given) -> None:
        child = some.maybe(some.id)
        self.call("notify_child_completed", *self.known(some), child_id=child)

    @step
    def fail_parent_on_child_failure(self, some: Given) -> None:
        self.call("fail_parent_on_child_failure", *self.known(some), some.text())
