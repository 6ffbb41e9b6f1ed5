"""What one call works on: the data, one instant that is now, and the events to tell after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta

from oqron_sql.contract.events import StoreEvent
from oqron_sql.contract.model import Metrics
from oqron_sql.errors import InvalidInput
from oqron_sql.memory.data import MemoryData, QueueData, Record


@dataclasses.dataclass(slots=True)
class Operation:
    """One call of one method, made while the data's lock is held.

    Nothing is rolled back: a body refuses what it must before it writes.
    """

    data: MemoryData
    now: datetime
    max_payload: int
    metrics: Metrics | None = None
    events: list[StoreEvent] = dataclasses.field(default_factory=list)

    def queue(self, name: str) -> QueueData:
        """Return the queue to be read; one nobody wrote to is empty and is not remembered."""
        return self.data.queues.get(name) or QueueData()

    def open_queue(self, name: str) -> QueueData:
        """Return the queue to be written to."""
        if name not in self.data.queues:
            self.data.queues[name] = QueueData()
        return self.data.queues[name]

    def find(self, queue: str | None, job_id: str | None) -> Record | None:
        """Return the job's record, or None."""
        if queue is None or job_id is None:
            return None
        return self.queue(queue).jobs.get(job_id)

    def records(self) -> Iterator[Record]:
        """Yield every job of every queue."""
        for queue in self.data.queues.values():
            yield from queue.jobs.values()

    def after(self, field: str, span: timedelta) -> datetime:
        """Return the instant `span` from now.

        Raises:
            InvalidInput: the calendar ends before.
        """
        try:
            return self.now + span
        except OverflowError:
            raise InvalidInput(field, span, "must end before the year 10000") from None
