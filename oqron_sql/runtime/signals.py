"""Being told to stop by the operating system."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def on_signal(call: Callable[[], object]) -> Iterator[None]:
    """Call `call` in the event loop for every SIGTERM or SIGINT, in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number in SIGNALS:
            _handle(loop, number, call)
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _handle(loop: asyncio.AbstractEventLoop, number: int, call: Callable[[], object]) -> None:
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # an event loop on Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))
