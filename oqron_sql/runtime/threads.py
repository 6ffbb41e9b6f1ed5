"""Handlers that cannot be awaited: calls in threads, which can be interrupted as far as Python can.

An exception is raised in the thread when it next runs Python code. A call that waits inside C (a
socket without a timeout, `time.sleep`) first has to return; nothing can end it from outside.
"""

from __future__ import annotations

import contextvars
import ctypes
import queue
import threading
from collections.abc import Callable
from typing import Any

from oqron_sql.errors import Interrupted

Report = Callable[[Any, BaseException | None], None]


class Threads:
    """Up to `most` threads, started when they are needed.

    They are daemons: one that is stuck in a call which never returns keeps no process alive.
    """

    def __init__(self, most: int) -> None:
        self._most, self._started = most, 0
        self._calls: queue.SimpleQueue[ThreadCall | None] = queue.SimpleQueue()

    def submit(self, call: ThreadCall) -> None:
        """Make the call in a thread, as soon as one is free; if none can be had, report that."""
        if self._started < self._most:
            thread = threading.Thread(target=self._serve, name="oqron_sql handler", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system has no more: those that are there do it
                if not self._started:
                    call.refuse(error)
                    return
            else:
                self._started += 1
        self._calls.put(call)

    def close(self) -> None:
        """Let the threads end when they have nothing left to do; waits for none."""
        for _ in range(self._started):
            self._calls.put(None)

    def _serve(self) -> None:
        while call := self._calls.get():
            call.make()


class ThreadCall:
    """One call, which another thread may interrupt; `report` gets what it returned or raised."""

    __slots__ = ("_asked", "_call", "_context", "_lock", "_once", "_report", "_thread")

    def __init__(self, call: Callable[[], Any], report: Report) -> None:
        self._call, self._report = call, report
        self._context = contextvars.copy_context()
        self._lock, self._once = threading.Lock(), threading.Lock()
        self._thread: int | None = None
        self._asked = False

    def make(self) -> None:
        """Make the call, in this thread; never raises."""
        value, error = None, None
        try:
            try:
                self._enter()
                value = self._context.run(self._call)
            finally:
                self._leave()
        except BaseException as raised:  # noqa: BLE001 - whatever it is, it is reported
            error = raised
        self._report(value, error)

    def refuse(self, error: BaseException) -> None:
        """Report an error in place of a call that cannot be made."""
        self._report(None, error)

    def interrupt(self) -> None:
        """Raise `Interrupted` in the call, once; nothing if it has ended."""
        if not self._once.acquire(blocking=False):
            return
        with self._lock:
            self._asked = True
            if self._thread is not None:
                _raise_in(self._thread, Interrupted)

    def _enter(self) -> None:
        with self._lock:
            if self._asked:
                raise Interrupted
            self._thread = threading.get_ident()

    def _leave(self) -> None:
        """See to it that nothing is raised in this thread after the call."""
        try:
            with self._lock:
                self._thread = None
            if self._asked:
                _raise_in(threading.get_ident(), None)
        except Interrupted:
            # It came just now, perhaps with the lock in hand. That harms nobody: there is no second
            # one, and so nobody else who waits for the lock.
            self._thread = None


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Let `error` be raised in a thread, or take back what was not raised there yet."""
    what = ctypes.py_object(error) if error is not None else ctypes.c_void_p()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
