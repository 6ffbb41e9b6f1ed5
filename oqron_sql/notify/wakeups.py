"""What a worker waits on."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

from oqron_sql.contract.topics import jobs_topic
from oqron_sql.contract.waking import Wakeup
from oqron_sql.notify.bells import AsyncBell
from oqron_sql.notify.notifier import Notifier


class QueueWakeup:
    """Hints that there may be something to fetch from one queue, for one coroutine."""

    def __init__(self, notifier: Notifier, queue: str) -> None:
        self._notifier, self._topic = notifier, jobs_topic(queue)
        self._hung = contextlib.ExitStack()
        self._bell: AsyncBell | None = None

    async def wait(self, timeout: timedelta) -> bool:
        """Return True at a hint; the first call at once, for what came before."""
        if self._bell is None:
            self._bell = self._hung.enter_context(self._notifier.async_bell(self._topic))
            return True
        return await self._bell.wait(timeout.total_seconds())

    async def close(self) -> None:
        """Wait for no more hints."""
        self._bell = None
        self._hung.close()


if TYPE_CHECKING:
    _: type[Wakeup] = QueueWakeup
