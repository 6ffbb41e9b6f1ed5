"""How a waiter hears that looking again may be worth it; the truth is always in the store."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol, runtime_checkable

from oqron_sql.contract.async_store import Later


class Wakeup(Protocol):
    """What one waiter waits on: hints that something about one queue has changed.

    A hint may come late, twice, for nothing or never. Whoever waits looks for himself when he is
    woken, and looks anyway when the time is up, so that a lost hint costs time and nothing else.
    """

    def wait(self, timeout: timedelta) -> Later[bool]:
        """Return True at a hint, be it one that came since the last call, or False at the end.

        A lost connection is no error: it is made again meanwhile, and the time runs out.
        """

    def close(self) -> Later[None]:
        """Let go of what was opened for this waiter; idempotent."""


@runtime_checkable
class Waking(Protocol):
    """Whatever hands out wake-ups. A store that is one wakes its own workers."""

    def wakeup(self, queue: str) -> Wakeup:
        """Return a wake-up for one waiter; what it needs is opened with the first wait."""
