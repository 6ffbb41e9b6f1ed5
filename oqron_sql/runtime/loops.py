"""The event loop of a process that is a worker's own."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the loops of uvloop where it is installed; None stands for Python's."""
    try:
        made: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module(
            "uvloop"
        ).new_event_loop
    except ImportError:
        return None
    return made
