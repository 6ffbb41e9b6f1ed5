"""The memory store, twice: blocking and awaitable, over one set of bodies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from oqron_sql.contract import codec
from oqron_sql.contract.clock import Clock
from oqron_sql.contract.events import Callback, ErrorHandler, StoreEvent, Subscribers
from oqron_sql.contract.model import Metrics
from oqron_sql.memory import (
    counting,
    crud,
    delaying,
    finishing,
    flows,
    groups,
    leasing,
    maintenance,
    measuring,
    pausing,
    recovering,
    retention,
    scheduling,
    searching,
)
from oqron_sql.memory.binding import awaiting, blocking
from oqron_sql.memory.data import MemoryData
from oqron_sql.memory.operation import Operation

if TYPE_CHECKING:
    from oqron_sql.contract.async_store import AsyncStore
    from oqron_sql.contract.store import Store

R = TypeVar("R")


class _Shell:
    """What the two stores have in common: the data, the clock and the subscribers."""

    def __init__(
        self,
        data: MemoryData | None = None,
        *,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        max_payload: int = codec.MAX_BYTES,
        on_event_error: ErrorHandler | None = None,
    ) -> None:
        self.data = data or MemoryData()
        self.clock = clock or Clock()
        self.metrics = metrics
        self.max_payload = max_payload
        self._subscribers = Subscribers(on_event_error)

    def run(self, body: Callable[[Operation], R], /) -> R:
        """Run one body alone, then deliver its events: a subscriber may call the store."""
        with self.data.lock:
            now = datetime.now(UTC) + self.clock.offset
            op = Operation(self.data, now, self.max_payload, self.metrics)
            result = body(op)
        for event in op.events:
            self._subscribers.deliver(event)
        return result

    def subscribe(self, queue: str, callback: Callback) -> None:
        """Call `callback` for each event of `queue`."""
        self._subscribers.subscribe(queue, callback)

    def unsubscribe(self, queue: str, callback: Callback | None = None) -> None:
        """Stop calling `callback`, or every callback of `queue`."""
        self._subscribers.unsubscribe(queue, callback)

    def has_subscribers(self, queue: str, *, besides: Callback | None = None) -> bool:
        """Whether an event of `queue` would reach any callback `besides` one."""
        return self._subscribers.any(queue, besides)


class MemoryStore(_Shell):
    """A blocking store in memory; its jobs live in `data`, which other stores may share."""

    def connect(self) -> None:
        """Do nothing: memory is always open."""

    def disconnect(self) -> None:
        """Drop the subscribers; the jobs stay in `data`."""
        self._subscribers.clear()

    def publish(self, event: StoreEvent) -> None:
        """Deliver `event` to this store's subscribers."""
        self._subscribers.deliver(event)

    save_job = blocking(crud.save_job)
    save_bulk = blocking(crud.save_bulk)
    get_job = blocking(crud.get_job)
    find_job_by_id = blocking(crud.find_job_by_id)
    update_job = blocking(crud.update_job)
    append_logs = blocking(crud.append_logs)
    remove_job = blocking(crud.remove_job)
    cancel_job = blocking(crud.cancel_job)
    find_by_deduplication_key = blocking(crud.find_by_deduplication_key)

    fetch_next_job = blocking(leasing.fetch_next_job)
    fetch_jobs = blocking(leasing.fetch_jobs)
    extend_lock = blocking(leasing.extend_lock)
    extend_locks = blocking(leasing.extend_locks)
    check_locks = blocking(leasing.check_locks)
    release_lock = blocking(leasing.release_lock)

    finish_jobs = blocking(finishing.finish_jobs)
    recover_lost = blocking(recovering.recover_lost)
    get_stalled_jobs = blocking(recovering.get_stalled_jobs)

    get_outlook = blocking(counting.get_outlook)
    get_active_count = blocking(counting.get_active_count)
    count_jobs = blocking(counting.count_jobs)
    get_job_counts = blocking(counting.get_job_counts)
    list_jobs = blocking(counting.list_jobs)
    list_queues = blocking(counting.list_queues)

    get_next_delayed_timestamp = blocking(delaying.get_next_delayed_timestamp)
    promote_delayed_jobs = blocking(delaying.promote_delayed_jobs)
    promote_jobs = blocking(delaying.promote_jobs)

    put_schedule = blocking(scheduling.put_schedule)
    get_schedule = blocking(scheduling.get_schedule)
    list_schedules = blocking(scheduling.list_schedules)
    pause_schedule = blocking(scheduling.pause_schedule)
    resume_schedule = blocking(scheduling.resume_schedule)
    remove_schedule = blocking(scheduling.remove_schedule)
    fire_schedules = blocking(scheduling.fire_schedules)

    pause_job_name = blocking(pausing.pause_job_name)
    resume_job_name = blocking(pausing.resume_job_name)
    get_paused_job_names = blocking(pausing.get_paused_job_names)

    clean = blocking(maintenance.clean)
    drain = blocking(maintenance.drain)
    obliterate = blocking(maintenance.obliterate)
    remove_expired = blocking(retention.remove_expired)
    retry_jobs = blocking(maintenance.retry_jobs)

    save_flow = blocking(flows.save_flow)
    notify_child_completed = blocking(flows.notify_child_completed)
    fail_parent_on_child_failure = blocking(flows.fail_parent_on_child_failure)
    get_children_jobs = blocking(flows.get_children_jobs)
    list_flow_parents = blocking(flows.list_flow_parents)

    get_group_active_count = blocking(groups.get_group_active_count)
    get_waiting_group_count = blocking(groups.get_waiting_group_count)

    search_by_payload = blocking(searching.search_by_payload)
    search_by_name = blocking(searching.search_by_name)
    search_jobs = blocking(searching.search_jobs)

    get_metrics = blocking(measuring.get_metrics)
    aggregate_metrics = blocking(measuring.aggregate_metrics)


class AsyncMemoryStore(_Shell):
    """An awaitable store in memory; its jobs live in `data`, which other stores may share."""

    async def connect(self) -> None:
        """Do nothing: memory is always open."""

    async def disconnect(self) -> None:
        """Drop the subscribers; the jobs stay in `data`."""
        self._subscribers.clear()

    async def publish(self, event: StoreEvent) -> None:
        """Deliver `event` to this store's subscribers."""
        self._subscribers.deliver(event)

    def twin(self) -> AsyncMemoryStore:
        """Return another handle on the same data, with subscribers of its own."""
        return AsyncMemoryStore(
            self.data, clock=self.clock, metrics=self.metrics, max_payload=self.max_payload
        )

    save_job = awaiting(crud.save_job)
    save_bulk = awaiting(crud.save_bulk)
    get_job = awaiting(crud.get_job)
    find_job_by_id = awaiting(crud.find_job_by_id)
    update_job = awaiting(crud.update_job)
    append_logs = awaiting(crud.append_logs)
    remove_job = awaiting(crud.remove_job)
    cancel_job = awaiting(crud.cancel_job)
    find_by_deduplication_key = awaiting(crud.find_by_deduplication_key)

    fetch_next_job = awaiting(leasing.fetch_next_job)
    fetch_jobs = awaiting(leasing.fetch_jobs)
    extend_lock = awaiting(leasing.extend_lock)
    extend_locks = awaiting(leasing.extend_locks)
    check_locks = awaiting(leasing.check_locks)
    release_lock = awaiting(leasing.release_lock)

    finish_jobs = awaiting(finishing.finish_jobs)
    recover_lost = awaiting(recovering.recover_lost)
    get_stalled_jobs = awaiting(recovering.get_stalled_jobs)

    get_outlook = awaiting(counting.get_outlook)
    get_active_count = awaiting(counting.get_active_count)
    count_jobs = awaiting(counting.count_jobs)
    get_job_counts = awaiting(counting.get_job_counts)
    list_jobs = awaiting(counting.list_jobs)
    list_queues = awaiting(counting.list_queues)

    get_next_delayed_timestamp = awaiting(delaying.get_next_delayed_timestamp)
    promote_delayed_jobs = awaiting(delaying.promote_delayed_jobs)
    promote_jobs = awaiting(delaying.promote_jobs)

    put_schedule = awaiting(scheduling.put_schedule)
    get_schedule = awaiting(scheduling.get_schedule)
    list_schedules = awaiting(scheduling.list_schedules)
    pause_schedule = awaiting(scheduling.pause_schedule)
    resume_schedule = awaiting(scheduling.resume_schedule)
    remove_schedule = awaiting(scheduling.remove_schedule)
    fire_schedules = awaiting(scheduling.fire_schedules)

    pause_job_name = awaiting(pausing.pause_job_name)
    resume_job_name = awaiting(pausing.resume_job_name)
    get_paused_job_names = awaiting(pausing.get_paused_job_names)

    clean = awaiting(maintenance.clean)
    drain = awaiting(maintenance.drain)
    obliterate = awaiting(maintenance.obliterate)
    remove_expired = awaiting(retention.remove_expired)
    retry_jobs = awaiting(maintenance.retry_jobs)

    save_flow = awaiting(flows.save_flow)
    notify_child_completed = awaiting(flows.notify_child_completed)
    fail_parent_on_child_failure = awaiting(flows.fail_parent_on_child_failure)
    get_children_jobs = awaiting(flows.get_children_jobs)
    list_flow_parents = awaiting(flows.list_flow_parents)

    get_group_active_count = awaiting(groups.get_group_active_count)
    get_waiting_group_count = awaiting(groups.get_waiting_group_count)

    search_by_payload = awaiting(searching.search_by_payload)
    search_by_name = awaiting(searching.search_by_name)
    search_jobs = awaiting(searching.search_jobs)

    get_metrics = awaiting(measuring.get_metrics)
    aggregate_metrics = awaiting(measuring.aggregate_metrics)


if TYPE_CHECKING:
    _blocking: type[Store] = MemoryStore
    _awaiting: type[AsyncStore] = AsyncMemoryStore
