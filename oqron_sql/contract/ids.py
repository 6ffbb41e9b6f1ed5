"""Identifiers made by the client, so that a retry of a save is idempotent."""

from __future__ import annotations

import os
import threading
import time

_lock = threading.Lock()
_last = 0
_tails: list[str] = []
_POOL = 512


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562): sorted by time across processes, strictly rising within one."""
    global _last
    with _lock:
        # 48 bits of milliseconds and 12 of their fraction; a tie takes the next value.
        stamp = time.time_ns() * 64 // 15_625
        if stamp <= _last:
            stamp = _last + 1
        _last = stamp
        if not _tails:
            _tails.extend(_new_tails())
        tail = _tails.pop()
    text = f"{stamp:015x}"
    return f"{text[:8]}-{text[8:12]}-7{text[12:]}-{tail}"


def _new_tails() -> list[str]:
    """Return the random ends of many ids, for one system call: the variant and 62 bits each."""
    digits = os.urandom(8 * _POOL).hex()
    tails = (digits[i : i + 16] for i in range(0, len(digits), 16))
    return [f"{_VARIANT[each[0]]}{each[1:4]}-{each[4:]}" for each in tails]


_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def new_worker_id() -> str:
    """Return a name for one incarnation of a worker: `worker-` and 8 random hex digits."""
    return f"worker-{os.urandom(4).hex()}"


def _after_fork() -> None:
    """Forget what parent and child have in common: they would make the same ids."""
    _tails.clear()
    globals()["_lock"] = threading.Lock()


if hasattr(os, "register_at_fork"):  # where there is no fork, there is none of this
    os.register_at_fork(after_in_child=_after_fork)
