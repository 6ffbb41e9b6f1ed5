"""Ctrl-C, SIGTERM and a closed terminal: the first asks for an orderly end, the second insists."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Cancels the current task on the first signal; on the next one leaves after `last_act`."""

    def __init__(self, last_act: Callable[[], None]) -> None:
        self._task = asyncio.current_task()
        self._last_act = last_act
        self._signal: signal.Signals | None = None
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                loop.add_signal_handler(number, self._receive, number)

    @property
    def status(self) -> int:
        """The exit status that tells of the signal."""
        return 128 + (self._signal or 0)

    def came(self) -> bool:
        """Tell whether a signal came; if so the task may await again."""
        if self._signal is None:
            return False
        if self._task is not None:
            self._task.uncancel()
        return True

    def _receive(self, number: signal.Signals) -> None:
        if self._signal is None:
            self._signal = number
            if self._task is not None:
                self._task.cancel()
            return
        with contextlib.suppress(Exception):
            self._last_act()
        os._exit(128 + number)
