"""What waits for the commit of a transaction that is somebody else's."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event

_waiting: weakref.WeakKeyDictionary[Connection, _Waiting] = weakref.WeakKeyDictionary()


def after_commit(conn: Connection, call: Callable[[], object]) -> None:
    """Do `call` once the transaction of `conn` is committed, and never if it is not.

    What is asked for inside a savepoint is forgotten when that is rolled back. `call` must not
    raise, nor use `conn`: its transaction is just ending.
    """
    waiting = _waiting.get(conn)
    if waiting is None:
        waiting = _waiting[conn] = _Waiting(conn)
    waiting.calls.append(call)


class _Waiting:
    """The calls that wait for one connection, and how many there were at each savepoint."""

    def __init__(self, conn: Connection) -> None:
        self.calls: list[Callable[[], object]] = []
        self._marks: dict[str, int] = {}
        event.listen(conn, "rollback", self._forget_all)
        event.listen(conn, "rollback_twophase", self._forget_all)
        event.listen(conn, "rollback_savepoint", self._forget_since)
        # The "commit" events come before the COMMIT, which may fail, and whose effects nobody sees
        # yet; the "savepoint" event comes without a name. These have been called so in every
        # version of SQLAlchemy.
        _follow(conn, "_commit_impl", self._call_all)
        _follow(conn, "_commit_twophase_impl", self._call_all)
        _follow(conn, "_savepoint_impl", self._mark)

    def _call_all(self, _: object) -> None:
        calls, self.calls[:] = list(self.calls), []
        for call in calls:
            call()

    def _forget_all(self, *_: Any) -> None:
        self.calls.clear()
        self._marks.clear()

    def _mark(self, savepoint: str) -> None:
        self._marks[savepoint] = len(self.calls)

    def _forget_since(self, _conn: Connection, savepoint: str, _context: Any) -> None:
        # A savepoint that was there before the first call contains them all.
        del self.calls[self._marks.pop(savepoint, 0) :]


def _follow(conn: Connection, name: str, then: Callable[[Any], None]) -> None:
    """Let `then` have what the method of this connection returned, if it does return."""
    method, reference = getattr(type(conn), name), weakref.ref(conn)

    def followed(*args: Any) -> Any:
        result = method(reference(), *args)
        then(result)
        return result

    setattr(conn, name, followed)
