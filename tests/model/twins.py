"""Two stores that are driven with the same calls, and how what they answer is compared.

The clock moves by a `TICK` before every call, and every span that is asked for ends between two
ticks. So it is of no consequence that the two read their clocks a moment apart, or keep them in
milliseconds: instants are compared by the half tick they lie in, and their order is exact.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from oqron_sql import AsyncStore, MemoryStore, SQLStore
from oqron_sql.contract import Clock, Job, MetricsBucket, Outlook, StoreEvent
from oqron_sql.errors import OqronError

TICK = timedelta(minutes=2)
HALF = TICK / 2
START = datetime(2032, 2, 28, 23, 0, tzinfo=UTC)  # so that hours, days and a leap day go by
# What may differ, and why.
FREE: Mapping[type, Sequence[str]] = {
    Job: ["seq"],  # numbers may be left out; the order that they give is compared
    StoreEvent: ["timestamp"],  # for display, never compared: of the process, not of the store
    Outlook: ["expired"],  # may be said of a job that was retried since: the sweep finds out
}
ROUNDING = timedelta(milliseconds=5)
MAX_WALL = timedelta(seconds=50)  # longer, and instants would fall into the next half tick


def ticks(n: float) -> timedelta:
    """Return a span that ends between two ticks."""
    return n * TICK + HALF


@dataclasses.dataclass(frozen=True, slots=True)
class Both:
    """What differs between the two by right, such as a job as each of them returned it."""

    reference: Any
    store: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Raised:
    """An error, as it is compared: its type, what it says, and its attributes."""

    kind: type[OqronError]
    message: str
    facts: Mapping[str, Any]


class TooSlow(Exception):
    """The machine was so busy that an instant may have fallen into another half tick."""


class Twins:
    """The memory store and another one, which are told the same."""

    def __init__(
        self,
        reference: MemoryStore,
        store: AsyncStore | SQLStore,
        clock: Clock,
        loop: asyncio.Runner,
    ) -> None:
        self.reference, self.store, self.clock = reference, store, clock
        self._loop = loop
        self._events: tuple[list[StoreEvent], list[StoreEvent]] = ([], [])
        clock.offset = START - datetime.now(UTC) + timedelta(seconds=1)
        self._begun = datetime.now(UTC)

    @property
    def now(self) -> datetime:
        """Return the instant that both take for now, without what passes within a tick."""
        moved = datetime.now(UTC) + self.clock.offset - START
        return START + moved // TICK * TICK

    def listen(self, queue: str) -> None:
        """Compare the events of a queue from now on."""
        self.reference.subscribe(queue, self._events[0].append)
        self.store.subscribe(queue, self._events[1].append)

    def call(self, method: str, /, *args: Any, in_any_order: bool = False, **kwargs: Any) -> Both:
        """Call a method of both and return what each returned, None for an error.

        Lists are compared `in_any_order` where equal instants leave it open.

        Raises:
            AssertionError: they did not answer alike.
        """
        self.clock.advance(TICK)
        expected = _answer_of(self.reference, method, *_side("reference", args, kwargs))
        found = self._ask(method, *_side("store", args, kwargs))
        if datetime.now(UTC) - self._begun > MAX_WALL:
            raise TooSlow
        answers = [normal(each) for each in (expected, found)]
        if in_any_order and isinstance(expected, list) and isinstance(found, list):
            answers = [sorted(items, key=repr) for _, items in answers]
        assert answers[1] == answers[0], f"{method}: the store answers otherwise"
        told, heard = (normal(events) for events in self._events)
        assert heard == told, f"{method}: the store tells other events"
        for events in self._events:
            events.clear()
        return Both(*(None if isinstance(each, Raised) else each for each in (expected, found)))

    def _ask(self, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(self.store, SQLStore):
            return _answer_of(self.store, method, args, kwargs)
        try:
            return self._loop.run(getattr(self.store, method)(*args, **kwargs))
        except OqronError as error:
            return _raised(error)


def _answer_of(
    store: MemoryStore | SQLStore, method: str, args: list[Any], kwargs: dict[str, Any]
) -> Any:
    try:
        return getattr(store, method)(*args, **kwargs)
    except OqronError as error:
        return _raised(error)


def _side(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    def pick(value: Any) -> Any:
        return getattr(value, name) if isinstance(value, Both) else value

    return [pick(each) for each in args], {key: pick(each) for key, each in kwargs.items()}


def _raised(error: OqronError) -> Raised:
    return Raised(type(error), str(error), vars(error))


def normal(value: Any) -> Any:
    """Return `value` as it is compared: without what is each store's own."""
    if isinstance(value, datetime) and value.tzinfo:
        return ("instant", (value - START + ROUNDING) // HALF)
    if isinstance(value, timedelta):
        return ("span", math.ceil((value - ROUNDING) / HALF))
    if isinstance(value, Exception):
        return normal(_raised(value)) if isinstance(value, OqronError) else repr(value)
    if isinstance(value, MetricsBucket):
        return _normal_bucket(value)
    if isinstance(value, enum.Enum | type):
        return value
    if dataclasses.is_dataclass(value):
        free = FREE.get(type(value), ())
        names = [field.name for field in dataclasses.fields(value) if field.name not in free]
        return (type(value).__name__, {name: normal(getattr(value, name)) for name in names})
    if isinstance(value, Mapping):
        return {key: normal(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return (type(value).__name__, [normal(each) for each in value])
    return value


def _normal_bucket(bucket: MetricsBucket) -> Any:
    fields = {field.name: getattr(bucket, field.name) for field in dataclasses.fields(bucket)}
    for name in ("total_process_ms", "min_process_ms", "max_process_ms"):
        ms = fields[name]
        fields[name] = None if ms is None else round(timedelta(milliseconds=ms) / HALF)
    return {name: normal(each) for name, each in fields.items()}
