"""Identifiers made by the client, so that a retry of a save is idempotent."""

from __future__ import annotations

import os
import threading
import time

_lock = threading.Lock()
_last = 0
_random: list[bytes] = []
_POOL = 512


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562): sorted by time across processes, strictly rising within one."""
    global _last
    with _lock:
        # 48 bits of milliseconds and 12 of their fraction; a tie takes the next value.
        _last = max(_last + 1, time.time_ns() * 4096 // 1_000_000)
        stamp = _last
        if not _random:  # one system call for many
            pool = os.urandom(8 * _POOL)
            _random.extend(pool[i : i + 8] for i in range(0, len(pool), 8))
        tail = int.from_bytes(_random.pop(), "big") & ((1 << 62) - 1)
    value = (stamp >> 12) << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | tail
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_worker_id() -> str:
    """Return a name for one incarnation of a worker: `worker-` and 8 random hex digits."""
    return f"worker-{os.urandom(4).hex()}"


def _after_fork() -> None:
    """Forget what parent and child have in common: they would make the same ids."""
    _random.clear()
    globals()["_lock"] = threading.Lock()


if hasattr(os, "register_at_fork"):  # where there is no fork, there is none of this
    os.register_at_fork(after_in_child=_after_fork)
