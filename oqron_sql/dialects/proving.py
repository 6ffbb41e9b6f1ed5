"""How long ago a connection was seen to lead to a server that may be written.

A server that is no longer the primary goes on to answer those who only read, and keeps their
connections open.
"""

from __future__ import annotations

import time

from sqlalchemy import Connection

PROVEN_FOR = 5.0
"""How many seconds a connection is taken to lead to a server that may be written."""
_SEEN = "oqron_may_write"  # not in `info`, which is the host's; this is the pool's


def is_due(conn: Connection) -> bool:
    """Whether it is time to ask whether the server may be written; a new connection did so."""
    known = conn.connection.record_info
    if known is None:
        return False
    now = time.monotonic()
    return bool(now >= known.setdefault(_SEEN, now) + PROVEN_FOR)


def saw(conn: Connection, *, may_write: bool) -> None:
    """Note what was learned of a server; if it may not be written, the next call asks outright."""
    known = conn.connection.record_info
    if known is not None:
        known[_SEEN] = time.monotonic() if may_write else float("-inf")
