"""The one thing a test may do to a store's clock."""

from __future__ import annotations

import dataclasses
from datetime import timedelta


@dataclasses.dataclass(slots=True)
class Clock:
    """How far a store's "now" is from its real clock: zero, unless a test moves it.

    Stores that share a `Clock` move together, so that a test never has to sleep.
    """

    offset: timedelta = timedelta(0)

    def advance(self, span: timedelta) -> None:
        """Let every store with this clock believe that `span` has passed."""
        self.offset += span
