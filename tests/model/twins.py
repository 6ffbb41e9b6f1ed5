"""Two that are driven with the same calls, and how what they answer is compared.

The clock moves by a `TICK` before every call, and every span that is asked for ends between two
ticks. So it is of no consequence that the two read their clocks a moment apart, or keep them in
milliseconds: instants are compared by the half tick they lie in, and their order is exact.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import inspect
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from oqron_sql.contract import Clock, Job, MetricsBucket, Outlook, StoreEvent
from oqron_sql.contract.adapters import Claim
from oqron_sql.errors import OqronError
from tests.model.choosing import Choices

C = TypeVar("C", bound=Choices)
M = TypeVar("M", bound=Callable[..., None])

MISSING = "nothing"
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
PATIENCE = 5.0
"""How many seconds a message may be on its way."""
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


class Unlike(AssertionError):
    """The two did not answer alike."""


class Twins:
    """A reference in memory and another one, which are told the same."""

    def __init__(
        self,
        reference: Any,
        store: Any,
        clock: Clock,
        loop: asyncio.Runner,
        drop: Callable[[Any], None] | None = None,
    ) -> None:
        self.reference, self.store, self.clock = reference, store, clock
        self._drop = drop
        self.told: list[str] | None = None  # the calls, if somebody wants to read them
        self._loop = loop
        self._events: tuple[list[StoreEvent], list[StoreEvent]] = ([], [])
        self.listener = Both(*(events.append for events in self._events))
        clock.offset = START - datetime.now(UTC) + timedelta(seconds=1)
        self._begun = datetime.now(UTC)

    @property
    def now(self) -> datetime:
        """Return the instant that both take for now, without what passes within a tick."""
        moved = datetime.now(UTC) + self.clock.offset - START
        return START + moved // TICK * TICK

    def listen(self, queue: str) -> None:
        """Compare the events of a queue from now on."""
        self.reference.subscribe(queue, self.listener.reference)
        self.store.subscribe(queue, self.listener.store)

    def drop(self) -> None:
        """End the session of the other one that waits in its pool, if it has any."""
        if self._drop is not None:
            if self.told is not None:
                self.told.append("the connection is gone")
            self._drop(self.store)

    def call(
        self,
        method: str,
        /,
        *args: Any,
        in_any_order: bool = False,
        by: Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> Both:
        """Call a method of both and return what each returned, None for an error.

        What they answer is compared `by` a function of it; lists are compared `in_any_order` where
        equal instants leave it open.

        Raises:
            Unlike: they did not answer alike.
        """
        self.clock.advance(TICK)
        if self.told is not None:
            self.told.append(f"{self.now:%d %H:%M} {method}{shown(args, kwargs)}")
        expected = self._answer(self.reference, method, *_side("reference", args, kwargs))
        found = self._answer(self.store, method, *_side("store", args, kwargs))
        if datetime.now(UTC) - self._begun > MAX_WALL:
            raise TooSlow
        answers = [(by or normal)(each) for each in (expected, found)]
        if in_any_order and isinstance(expected, list) and isinstance(found, list):
            answers = [sorted(items, key=repr) for _, items in answers]
        if isinstance(expected, Raised) != isinstance(found, Raised):
            raise Unlike(f"{method}: it is {expected!r} in memory, and {found!r} here")
        if answers[1] != answers[0]:
            raise Unlike(f"{method}: {unlike(*answers)}")
        told, heard = (normal(events) for events in self._events)
        if heard != told:
            raise Unlike(f"events of {method}: {unlike(told, heard)}")
        for events in self._events:
            events.clear()
        return Both(*(None if isinstance(each, Raised) else each for each in (expected, found)))

    def wait_for(self, answer: Any) -> Any:
        """Return what was answered, once it is there."""
        return finished(answer, self._loop)

    def compare(self, what: str, lists: Both) -> None:
        """Wait until as much is in one list as is in the other; and compare them."""
        patience = time.monotonic() + PATIENCE
        while len(lists.store) < len(lists.reference) and time.monotonic() < patience:
            self._loop.run(asyncio.sleep(0.005))
        expected, found = normal(lists.reference), normal(lists.store)
        if expected != found:
            raise Unlike(f"{what}: {unlike(expected, found)}")

    def _answer(self, asked: Any, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        try:
            return self.wait_for(getattr(asked, method)(*args, **kwargs))
        except OqronError as error:
            facts = {n: str(v) if isinstance(v, Claim) else v for n, v in vars(error).items()}
            return Raised(type(error), str(error), facts)


class Steps(Generic[C]):
    """What two can be asked for: the methods marked as a `step`, each given its choices."""

    given: ClassVar[type[Choices]]

    def __init__(self, twins: Twins) -> None:
        self.twins = twins
        self.count = 0

    @classmethod
    def weights(cls) -> dict[str, int]:
        """Return the names of the steps, and how often each is taken."""
        methods = {name: getattr(cls, name) for name in dir(cls)}
        return {n: STEPS[m] for n, m in methods.items() if inspect.isfunction(m) and m in STEPS}

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Both:
        """Call a method of both, and count it."""
        self.count += 1
        return self.twins.call(method, *args, **kwargs)

    def look(self) -> None:
        """Look at everything there is, at the end."""
        raise NotImplementedError

    def close(self) -> None:
        """End what was begun and goes on by itself."""


STEPS: dict[Callable[..., None], int] = {}


def step(method: M) -> M:
    """Mark a method as a step."""
    STEPS[method] = 4
    return method


def often(method: M) -> M:
    """Mark a method as a step that is taken often: without it there is nothing to look at."""
    STEPS[method] = 16
    return method


def rarely(method: M) -> M:
    """Mark a method as a step that is taken rarely: most is gone after it."""
    STEPS[method] = 1
    return method


def _side(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    def pick(value: Any) -> Any:
        return getattr(value, name) if isinstance(value, Both) else value

    return [pick(each) for each in args], {key: pick(each) for key, each in kwargs.items()}


def normal(value: Any) -> Any:
    """Return `value` as it is compared: without what is each store's own."""
    if isinstance(value, datetime) and value.tzinfo:
        return ("instant", (value - START + ROUNDING) // HALF)
    if isinstance(value, timedelta):
        return ("span", math.ceil((value - ROUNDING) / HALF))
    if isinstance(value, Exception):
        return (type(value).__name__, str(value))
    if isinstance(value, Claim):
        return ("claim", str(value), value.deliveries)
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


def unlike(expected: Any, found: Any, path: str = "") -> str:
    """Return where two normal values differ first, and by what."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in [*expected, *found]:
            left, right = expected.get(key, MISSING), found.get(key, MISSING)
            if left != right:
                return unlike(left, right, f"{path}.{key}")
    if _is_list(expected) and _is_list(found) and len(expected) == len(found):
        for n, (left, right) in enumerate(zip(expected, found, strict=True)):
            if left != right:
                return unlike(left, right, f"{path}[{n}]")
    return f"{path or 'it'} is {expected!r} in memory, and {found!r} here"


def finished(answer: Any, loop: asyncio.Runner) -> Any:
    """Return what was answered, once it is there."""
    return loop.run(answer) if inspect.iscoroutine(answer) else answer


def shown(args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> str:
    """Return arguments as they are written, of dataclasses what is not as by default."""
    named = (f"{name}={_shown(each)}" for name, each in (kwargs or {}).items())
    return f"({', '.join([*map(_shown, args), *named])})"


def _shown(value: Any) -> str:
    if isinstance(value, Both):
        return _shown(value.reference)
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = {
            field.name: getattr(value, field.name)
            for field in dataclasses.fields(value)
            if getattr(value, field.name) != field.default
        }
        return type(value).__name__ + shown((), told)
    return f"{value:%d %H:%M}" if isinstance(value, datetime) else repr(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
