"""Identifiers made by the client, so that a retry of a save is idempotent."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562): sorted by time across processes, strictly rising within one."""
    global _last
    with _lock:
        # 48 bits of milliseconds and 12 of their fraction; a tie takes the next value.
        _last = max(_last + 1, time.time_ns() * 4096 // 1_000_000)
        stamp = _last
    tail = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    value = (stamp >> 12) << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | tail
    return str(UUID(int=value))


def new_worker_id() -> str:
    """Return a name for one incarnation of a worker: `worker-` and 8 random hex digits."""
    return f"worker-{os.urandom(4).hex()}"
