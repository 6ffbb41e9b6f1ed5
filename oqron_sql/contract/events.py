"""What a store tells the components of its own process."""

from __future__ import annotations

import dataclasses
import enum
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from oqron_sql.hiding import hiding

logger = logging.getLogger("oqron_sql")


class EventType(enum.StrEnum):
    """The kinds of event, under Conveyor's names."""

    JOB_WAITING = "job:waiting"
    JOB_WAITING_CHILDREN = "job:waiting-children"
    JOB_ACTIVE = "job:active"
    JOB_COMPLETED = "job:completed"
    JOB_FAILED = "job:failed"
    JOB_PROGRESS = "job:progress"
    JOB_STALLED = "job:stalled"
    JOB_DELAYED = "job:delayed"
    JOB_REMOVED = "job:removed"
    JOB_CANCELLED = "job:cancelled"
    QUEUE_DRAINED = "queue:drained"
    QUEUE_PAUSED = "queue:paused"
    QUEUE_RESUMED = "queue:resumed"
    QUEUE_ERROR = "queue:error"
    QUEUE_SCHEDULED = "queue:scheduled"
    """A series was put or resumed, which may be due sooner than any other: a kind of ours."""


@hiding("data")
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoreEvent:
    """Something happened to a job or a queue. `timestamp` is for display, never compared."""

    type: EventType
    queue_name: str
    job_id: str | None = None
    data: Any = None
    timestamp: datetime = dataclasses.field(default_factory=lambda: datetime.now(UTC))


Callback = Callable[[StoreEvent], object]
ErrorHandler = Callable[[Exception], object]


class Subscribers:
    """The callbacks of one store, per queue. A failing callback never reaches the operation."""

    def __init__(self, on_error: ErrorHandler | None = None) -> None:
        self._callbacks: dict[str, dict[Callback, None]] = {}
        self._on_error = on_error

    def subscribe(self, queue: str, callback: Callback) -> None:
        """Call `callback` for every event of `queue`; the same callback twice counts once."""
        self._callbacks.setdefault(queue, {})[callback] = None

    def unsubscribe(self, queue: str, callback: Callback | None = None) -> None:
        """Stop calling `callback`, or every callback of `queue`."""
        if callback is None:
            self._callbacks.pop(queue, None)
        else:
            self._callbacks.get(queue, {}).pop(callback, None)

    def any(self, queue: str, besides: Callback | None = None) -> bool:
        """Whether there is a callback for events of `queue`, another than `besides`."""
        callbacks = self._callbacks.get(queue, {})
        return len(callbacks) > (besides in callbacks)

    def clear(self) -> None:
        """Forget every callback."""
        self._callbacks.clear()

    def deliver(self, event: StoreEvent) -> None:
        """Call the subscribers of the event's queue, one after another."""
        for callback in tuple(self._callbacks.get(event.queue_name, ())):
            try:
                callback(event)
            except Exception as error:
                if self._on_error is None:
                    logger.warning("a subscriber of %s failed", event.type, exc_info=True)
                else:
                    self._on_error(error)
