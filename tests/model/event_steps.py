"""The steps of a store that are about who is told, and about its connections."""

from __future__ import annotations

from oqron_sql.contract import EventType, StoreEvent
from tests.model.given import QUEUES, Given
from tests.model.looking_steps import LookingSteps
from tests.model.twins import rarely, step

# What is asked for first over a connection that is gone; what is not tried again is left out.
FIRST = (
    *("save_job", "save_bulk", "save_flow", "finish_jobs", "finish_one", "update_job"),
    *("recover_lost", "promote_delayed_jobs", "put_schedule", "fire_schedules", "remove_expired"),
    *("list_jobs", "retry_jobs", "extend_without_lease", "remove_job"),
)


class EventSteps(LookingSteps):
    """Events are compared after each call, for as long as somebody listens."""

    @step
    def subscribe(self, some: Given) -> None:
        self.call("subscribe", some.queue(), self.twins.listener)

    @rarely
    def unsubscribe(self, some: Given) -> None:
        self.call("unsubscribe", some.queue(), some.maybe(lambda: self.twins.listener))

    @rarely
    def has_subscribers(self, some: Given) -> None:
        self.call("has_subscribers", some.queue(), besides=some.maybe(lambda: self.twins.listener))

    @rarely
    def publish(self, some: Given) -> None:
        kind, job_id = some.one((*EventType,)), some.maybe(some.id)
        made = StoreEvent(type=kind, queue_name=some.queue(), job_id=job_id, data=some.payload())
        self.call("publish", made)

    @rarely
    def connect_again(self, some: Given) -> None:
        self.call("disconnect")
        self.call("connect")
        for queue in QUEUES:
            self.call("subscribe", queue, self.twins.listener)

    @rarely
    def drop_connection(self, some: Given) -> None:
        """Go on as if nothing had been, when the connection in the pool is gone."""
        self.twins.drop()
        getattr(self, some.one(FIRST))(some)
        self.call("get_active_count", some.queue())
