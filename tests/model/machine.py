"""Every step that a store can be asked for, in any order, told to the memory store as well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar, cast

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from oqron_sql.contract import (
    Complete,
    Fail,
    FetchOptions,
    Job,
    JobState,
    JobUpdate,
    Outcome,
    Release,
    Retry,
    SearchFilter,
)
from oqron_sql.contract.model import FINISHED
from tests.model import strategies as some
from tests.model.twins import START, TICK, Both, TooSlow, Twins, ticks

MakeOutcome = Callable[[Job], Outcome]
KEPT_LEASES = 12
MANY = 100
LEASED_COPY = {"opts", "attempts_made", "processed_at", "parent_id", "parent_queue_name"}
YEAR = timedelta(days=366)

outcomes = st.one_of(
    some.payloads.map(lambda value: lambda job: Complete(job, value)),
    some.texts.map(lambda reason: lambda job: Fail(job, reason, None)),
    st.tuples(some.texts, some.maybe(some.texts), st.sampled_from([timedelta(0), ticks(3)])).map(
        lambda drawn: lambda job: Retry(job, drawn[0], drawn[2], drawn[1])
    ),
    st.just(Release),
    some.wrong_payloads.map(lambda value: lambda job: Complete(job, value)),
)
which = st.integers(0, KEPT_LEASES - 1)
limits = st.sampled_from([None, 0, 1, 2])
slices = st.sampled_from([(0, 100), (0, 1), (1, 3), (2, 1), (-1, 2)])


class StoreMachine(RuleBasedStateMachine):
    """Drives the twins that `open` returns, both of them empty."""

    steps: ClassVar[int] = 0  # in all, without those that only look at the end

    def __init__(self) -> None:
        super().__init__()
        self.twins = self.open()
        self.leases: list[Both] = []
        self.failed = self.looking = False
        for queue in some.QUEUES:
            self.twins.listen(queue)

    def open(self) -> Twins:
        raise NotImplementedError

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Both:
        StoreMachine.steps += not self.looking
        try:
            return self.twins.call(method, *args, **kwargs)
        except TooSlow:
            self.failed = True
            reject()
        except BaseException:
            self.failed = True
            raise

    def ties(self, queue: str, state: JobState, member: str) -> bool:
        """Whether equal instants leave it open which jobs come first: no index has more."""
        jobs = self.twins.reference.list_jobs(queue, state)
        instants = [getattr(job, member) for job in jobs]
        return len(set(instants)) < len(instants)

    # -- jobs ----------------------------------------------------------------------------------

    @rule(queue=some.queues, job=some.jobs())
    def save_job(self, queue: str, job: Job) -> None:
        self.call("save_job", queue if queue == some.QUEUES[0] else job.queue_name, job)

    @rule(data=st.data(), queue=some.queues)
    def save_bulk(self, data: st.DataObject, queue: str) -> None:
        self.call("save_bulk", queue, data.draw(st.lists(some.jobs(queue), max_size=5)))

    @rule(jobs=some.flows())
    def save_flow(self, jobs: list[Job]) -> None:
        self.call("save_flow", jobs)

    @rule(queue=some.queues, job_id=some.ids)
    def get_job(self, queue: str, job_id: str) -> None:
        self.call("get_job", queue, job_id)

    @rule(queue=some.queues, job_id=some.ids)
    def remove_job(self, queue: str, job_id: str) -> None:
        self.call("remove_job", queue, job_id)

    @rule(queue=some.queues, job_id=some.ids, unstarted=st.booleans())
    def cancel_job(self, queue: str, job_id: str, *, unstarted: bool) -> None:
        self.call("cancel_job", queue, job_id, unstarted=unstarted)

    @rule(
        queue=some.queues,
        job_id=some.ids,
        updates=some.updates,
        expected=some.usually(None, st.lists(some.states, min_size=1, max_size=2), 3),
        lease=some.usually(None, st.integers(0, 2), 6),
    )
    def update_job(
        self,
        queue: str,
        job_id: str,
        updates: JobUpdate,
        expected: list[JobState] | None,
        lease: int | None,
    ) -> None:
        found = self.twins.reference.get_job(queue, job_id)
        if found is not None and found.state is JobState.ACTIVE:
            # A worker's finish goes by the job as it was leased; what it says of that is free.
            kept = {name: value for name, value in updates.items() if name not in LEASED_COPY}
            updates = cast("JobUpdate", kept)
        self.call("update_job", queue, job_id, updates, expected_state=expected, lease=lease)

    @rule(
        queue=some.queues,
        job_id=some.ids,
        lines=st.lists(some.texts, max_size=2),
        lease=some.maybe(st.integers(0, 2)),
    )
    def append_logs(self, queue: str, job_id: str, lines: list[str], lease: int | None) -> None:
        self.call("append_logs", queue, job_id, lines, lease=lease)

    @rule(queue=some.queues, key=some.keys)
    def find_by_deduplication_key(self, queue: str, key: str) -> None:
        self.call("find_by_deduplication_key", queue, key)

    # -- leases --------------------------------------------------------------------------------

    @rule(queue=some.queues, worker=some.workers, lock=some.locks, n=some.few, opts=some.fetching())
    def fetch_jobs(
        self, queue: str, worker: str, lock: timedelta, n: int, opts: FetchOptions
    ) -> None:
        fetched = self.call("fetch_jobs", queue, worker, lock, n, opts)
        pairs = zip(fetched.reference or (), fetched.store or (), strict=True)
        self.leases = [*(Both(*pair) for pair in pairs), *self.leases][:KEPT_LEASES]

    @rule(worker=some.workers, lock=some.locks)
    def fetch_next_job(self, worker: str, lock: timedelta) -> None:
        fetched = self.call("fetch_next_job", some.QUEUES[0], worker, lock)
        if fetched.reference is not None:
            self.leases = [fetched, *self.leases][:KEPT_LEASES]

    @precondition(lambda self: self.leases)
    @rule(told=st.lists(st.tuples(which, outcomes), min_size=1, max_size=4))
    def finish_jobs(self, told: list[tuple[int, MakeOutcome]]) -> None:
        chosen = [(self.leases[n % len(self.leases)], make) for n, make in told]
        self.call(
            "finish_jobs",
            chosen[0][0].reference.queue_name,
            Both(
                [make(lease.reference) for lease, make in chosen],
                [make(lease.store) for lease, make in chosen],
            ),
        )

    @precondition(lambda self: self.leases)
    @rule(n=which, make=outcomes)
    def finish_one(self, n: int, make: MakeOutcome) -> None:
        self.finish_jobs([(n, make)])

    @precondition(lambda self: self.leases)
    @rule(
        ns=st.lists(which, min_size=1, max_size=4),
        method=st.sampled_from(["extend_locks", "check_locks"]),
        lock=some.locks,
    )
    def ask_for_leases(self, ns: list[int], method: str, lock: timedelta) -> None:
        chosen = [self.leases[n % len(self.leases)] for n in ns]
        queue = chosen[0].reference.queue_name
        jobs = Both([lease.reference for lease in chosen], [lease.store for lease in chosen])
        self.call(method, queue, jobs, *([lock] if method == "extend_locks" else []))

    @precondition(lambda self: self.leases)
    @rule(
        n=which,
        method=st.sampled_from(["extend_lock", "release_lock", "append_logs", "update_job"]),
        lock=some.locks,
    )
    def use_one_lease(self, n: int, method: str, lock: timedelta) -> None:
        job = self.leases[n % len(self.leases)].reference
        given: dict[str, list[Any]] = {
            "extend_lock": [lock],
            "append_logs": [["line"]],
            "update_job": [{"progress": 7}],
        }
        self.call(method, job.queue_name, job.id, *given.get(method, []), lease=job.lease)

    @rule(queue=some.queues, job_id=some.ids, lock=some.locks)
    def extend_without_lease(self, queue: str, job_id: str, lock: timedelta) -> None:
        self.call("extend_lock", queue, job_id, lock)

    @rule(queue=some.queues, job_id=some.ids)
    def release_without_lease(self, queue: str, job_id: str) -> None:
        self.call("release_lock", queue, job_id)

    @rule(queue=some.queues, limit=st.integers(0, 3), max_lost=st.integers(0, 2))
    def recover_lost(self, queue: str, limit: int, max_lost: int) -> None:
        tied = self.ties(queue, JobState.ACTIVE, "lock_until")
        limit = MANY if tied else limit
        self.call("recover_lost", queue, limit=limit, max_lost=max_lost, in_any_order=tied)

    # -- queues --------------------------------------------------------------------------------

    @rule(
        queue=some.queues,
        name=st.sampled_from([*some.NAMES, "__all__"]),
        method=st.sampled_from(["pause_job_name", "resume_job_name", "resume_job_name"]),
    )
    def pause_or_resume(self, queue: str, name: str, method: str) -> None:
        self.call(method, queue, name)

    @rule(queue=some.queues, timestamp=some.maybe(some.instants), limit=limits)
    def promote_delayed_jobs(
        self, queue: str, timestamp: datetime | None, limit: int | None
    ) -> None:
        if self.ties(queue, JobState.DELAYED, "delay_until"):
            limit = None
        self.call("promote_delayed_jobs", queue, timestamp, limit=limit)

    @rule(queue=some.queues, method=st.sampled_from(["promote_jobs", "drain"]))
    def change_all(self, queue: str, method: str) -> None:
        self.call(method, queue)

    @rule(
        queue=some.queues,
        state=some.states,
        grace=st.sampled_from([timedelta(0), ticks(5), -TICK]),
        limit=limits,
    )
    def clean(self, queue: str, state: JobState, grace: timedelta, limit: int | None) -> None:
        self.call("clean", queue, state, grace, limit=limit)

    @rule(queue=some.queues, force=st.booleans())
    def obliterate(self, queue: str, *, force: bool) -> None:
        self.call("obliterate", queue, force=force)

    @rule(queue=some.queues, limit=st.integers(0, 2))
    def remove_expired(self, queue: str, limit: int) -> None:
        data = self.twins.reference.data.queues.get(queue)
        due = [instant for instant, _ in data.expiries] if data else []
        self.call("remove_expired", queue, limit=limit if len(set(due)) == len(due) else MANY)

    @rule(queue=some.queues, state=some.states)
    def retry_jobs(self, queue: str, state: JobState) -> None:
        self.call("retry_jobs", queue, state)

    @rule()
    def aggregate_metrics(self) -> None:
        self.call("aggregate_metrics")

    @rule(n=st.sampled_from([1, 7, 40, 1000]))
    def pass_time(self, n: int) -> None:
        self.twins.clock.advance(n * TICK)

    # -- trees ---------------------------------------------------------------------------------

    @rule(queue=some.queues, parent=some.ids, child=some.maybe(some.ids))
    def notify_child_completed(self, queue: str, parent: str, child: str | None) -> None:
        self.call("notify_child_completed", queue, parent, child_id=child)

    @rule(queue=some.queues, parent=some.ids, reason=some.texts)
    def fail_parent_on_child_failure(self, queue: str, parent: str, reason: str) -> None:
        self.call("fail_parent_on_child_failure", queue, parent, reason)

    # -- looking -------------------------------------------------------------------------------

    @rule(queue=some.queues, state=some.states, part=slices)
    def list_jobs(self, queue: str, state: JobState, part: tuple[int, int]) -> None:
        """Where those stand that were saved without their end differs from database to database."""
        jobs = self.twins.reference.list_jobs(queue, state)
        ends = [job.completed_at if state is JobState.COMPLETED else job.failed_at for job in jobs]
        untold = state in FINISHED and None in ends
        self.call("list_jobs", queue, state, *((0, MANY) if untold else part), in_any_order=untold)

    @rule(
        queue=some.maybe(some.queues),
        states=st.lists(some.states, max_size=2).map(tuple),
        # SQLite knows the two cases of ASCII letters alone.
        name=some.maybe(st.sampled_from(["a", "A", "ä", "_", "%", "_%", "nul\x00"])),
        after=some.maybe(some.instants),
        before=some.maybe(some.instants),
        part=slices,
    )
    def search_jobs(
        self,
        queue: str | None,
        states: tuple[JobState, ...],
        name: str | None,
        after: datetime | None,
        before: datetime | None,
        part: tuple[int, int],
    ) -> None:
        wanted = SearchFilter(
            queue_name=queue, states=states, name=name, created_after=after, created_before=before
        )
        self.call("search_jobs", wanted, *part)

    @rule(queue=some.queues, text=st.sampled_from(["T", "Zür", "%", "\\", '"', "1", ""]))
    def search_by_payload(self, queue: str, text: str) -> None:
        self.call("search_by_payload", queue, text)

    @rule(job_id=some.ids)
    def find_job_by_id(self, job_id: str) -> None:
        """If several queues have the id, it may be the job of any: then only that there is one."""
        owners = [q for q in some.QUEUES if self.twins.reference.get_job(q, job_id)]
        if len(owners) <= 1:
            self.call("find_job_by_id", job_id)

    @rule(queue=some.queues)
    def look_at_queue(self, queue: str) -> None:
        for method in ("get_job_counts", "get_next_delayed_timestamp"):
            self.call(method, queue)
        outlook = self.call("get_outlook", queue)
        assert outlook.store.expired >= outlook.reference.expired
        tied = self.ties(queue, JobState.ACTIVE, "lock_until")
        self.call("get_stalled_jobs", queue, in_any_order=tied)

    @rule(queue=some.queues, group=some.groups)
    def look_at_group(self, queue: str, group: str) -> None:
        self.call("get_group_active_count", queue, group)
        self.call("get_waiting_group_count", queue, group)

    @rule(queue=some.queues, state=some.states)
    def count_jobs(self, queue: str, state: JobState) -> None:
        self.call("count_jobs", queue, state)

    @rule(queue=some.queues, parent=some.ids)
    def get_children_jobs(self, queue: str, parent: str) -> None:
        self.call("get_children_jobs", queue, parent)

    @rule(state=some.maybe(some.states))
    def look_at_all_queues(self, state: JobState | None) -> None:
        self.call("list_queues")
        self.call("list_flow_parents", state)

    @rule(queue=some.queues, granularity=st.sampled_from(["minute", "hour"]))
    def get_metrics(self, queue: str, granularity: str) -> None:
        self.call("get_metrics", queue, granularity, START - YEAR, START + YEAR)

    def look_at_everything(self) -> None:
        """All that can be read of every queue: jobs with their logs and attempts, counts, order."""
        self.look_at_all_queues(None)
        for queue in some.QUEUES:
            self.look_at_queue(queue)
            self.call("get_paused_job_names", queue)
            self.get_metrics(queue, "minute")
            for state in JobState:
                self.list_jobs(queue, state, (0, MANY))

    def teardown(self) -> None:
        self.looking = True
        if not self.failed:
            self.look_at_everything()
