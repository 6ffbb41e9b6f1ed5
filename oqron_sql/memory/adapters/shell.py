"""What the memory adapters have in common: shared data, a clock, one call at a time."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from oqron_sql.contract.clock import Clock
from oqron_sql.errors import InvalidInput

R = TypeVar("R")


class Data:
    """What adapters share that are given the same one."""

    def __init__(self) -> None:
        self.lock = threading.RLock()


D = TypeVar("D", bound=Data)


@dataclasses.dataclass(slots=True)
class Call(Generic[D]):
    """One call of one method, made while the data's lock is held.

    Nothing is rolled back: a body refuses what it must before it writes.
    """

    data: D
    now: datetime

    def after(self, field: str, span: timedelta) -> datetime:
        """Return the instant `span` from now.

        Raises:
            InvalidInput: the calendar ends before.
        """
        try:
            return self.now + span
        except OverflowError:
            raise InvalidInput(field, span, "must end before the year 10000") from None


class Shell(Generic[D]):
    """An adapter on its data; `clock` moves its now, which is that of the process."""

    def __init__(self, data: D, clock: Clock | None) -> None:
        self.data = data
        self.clock = clock or Clock()

    def run(self, body: Callable[[Call[D]], R], /) -> R:
        """Run one body alone."""
        with self.data.lock:
            return body(Call(self.data, datetime.now(UTC) + self.clock.offset))
