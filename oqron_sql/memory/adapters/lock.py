"""The memory lock, twice: blocking and awaitable, over one set of bodies."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from oqron_sql.contract.asking import check_ttl
from oqron_sql.contract.checks import check_names
from oqron_sql.contract.clock import Clock
from oqron_sql.memory.adapters.heap import Heap
from oqron_sql.memory.adapters.shell import Call, Data, Shell
from oqron_sql.memory.binding import awaiting, blocking

if TYPE_CHECKING:
    from oqron_sql.contract.adapters import Lock
    from oqron_sql.contract.async_adapters import AsyncLock


@dataclasses.dataclass(slots=True, eq=False)
class Held:
    """A lock that somebody has until the deadline; `seq` is its fencing number."""

    key: str
    owner: str
    deadline: datetime
    seq: int
    version: int = 0


class MemoryLocks(Data):
    """The locks of one or more memory locks; those given the same one share them."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, Held] = {}
        self._last = 0  # of all keys together, so that none need be remembered
        self._ends: Heap[Held] = Heap()

    def sweep(self, now: datetime) -> None:
        """Forget the locks that are over."""
        while (found := self._ends.first()) is not None and found[0] <= now:
            self.let_go(found[1])

    def take(self, key: str, owner: str, deadline: datetime) -> Held:
        """Give a free lock to `owner`."""
        self._last += 1
        held = self.held[key] = Held(key, owner, deadline, self._last)
        self._ends.push(deadline, held)
        return held

    def prolong(self, held: Held, deadline: datetime) -> None:
        """Move the deadline."""
        held.deadline = deadline
        held.version += 1
        self._ends.push(deadline, held)

    def let_go(self, held: Held) -> None:
        """Make a lock free."""
        held.version += 1
        del self.held[held.key]


def acquire(call: Call[MemoryLocks], key: str, owner: str, ttl: timedelta) -> int | None:
    """Take the lock, or keep it for longer."""
    check_names(key=key, owner=owner)
    deadline = call.after("ttl", check_ttl(ttl))
    call.data.sweep(call.now)
    held = call.data.held.get(key)
    if held is None:
        held = call.data.take(key, owner, deadline)
    elif held.owner != owner:
        return None
    else:
        call.data.prolong(held, deadline)
    return held.seq


def renew(call: Call[MemoryLocks], key: str, owner: str, ttl: timedelta) -> bool:
    """Keep the lock for longer."""
    deadline = call.after("ttl", check_ttl(ttl))
    held = _held_by(call, key, owner)
    if held is not None:
        call.data.prolong(held, deadline)
    return held is not None


def release(call: Call[MemoryLocks], key: str, owner: str) -> bool:
    """Give the lock up."""
    held = _held_by(call, key, owner)
    if held is not None:
        call.data.let_go(held)
    return held is not None


def is_owner(call: Call[MemoryLocks], key: str, owner: str) -> bool:
    """Whether `owner` has the lock now."""
    return _held_by(call, key, owner) is not None


def _held_by(call: Call[MemoryLocks], key: str, owner: str) -> Held | None:
    check_names(key=key, owner=owner)
    call.data.sweep(call.now)
    held = call.data.held.get(key)
    return held if held is not None and held.owner == owner else None


class _Lock(Shell[MemoryLocks]):
    def __init__(self, data: MemoryLocks | None = None, *, clock: Clock | None = None) -> None:
        super().__init__(data or MemoryLocks(), clock)


class MemoryLock(_Lock):
    """A blocking lock in memory; who has what lives in `data`, which others may share."""

    acquire = blocking(acquire)
    renew = blocking(renew)
    release = blocking(release)
    is_owner = blocking(is_owner)


class AsyncMemoryLock(_Lock):
    """An awaitable lock in memory; who has what lives in `data`, which others may share."""

    acquire = awaiting(acquire)
    renew = awaiting(renew)
    release = awaiting(release)
    is_owner = awaiting(is_owner)


if TYPE_CHECKING:
    _blocking: type[Lock] = MemoryLock
    _awaiting: type[AsyncLock] = AsyncMemoryLock
