"""Starting other Python processes, and telling how they ended."""

from __future__ import annotations

import os
import signal
import sys


def python() -> list[str]:
    """Return the words that start this Python, with the modules that this process has."""
    # "-m" would put the working directory, with whatever modules lie there, before the real ones.
    from_here = os.getcwd() in sys.path or "" in sys.path
    return [sys.executable] if from_here else [sys.executable, "-P"]


def how_it_ended(status: int) -> str:
    """Return the signal or the exit status of a process, in words."""
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
