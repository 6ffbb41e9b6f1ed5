"""Turn one body of SQL into a blocking method and an awaitable one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from oqron_sql.contract.checks import check_count
from oqron_sql.queries.tx import Tx

P = ParamSpec("P")
R = TypeVar("R")
Body = Callable[[Tx], R]

STEP = 500


class Blocking(Protocol):
    """What runs a body to its end."""

    def run(self, body: Body[R], /, *, repeatable: bool = True) -> R:
        """Run `body` in one operation."""


class Awaiting(Protocol):
    """What runs a body to its end without holding up the event loop."""

    async def run(self, body: Body[R], /, *, repeatable: bool = True) -> R:
        """Run `body` in one operation."""


def blocking(
    op: Callable[Concatenate[Tx, P], R], *, repeatable: bool = True
) -> Callable[Concatenate[Blocking, P], R]:
    """Return `op` as a method; `repeatable` if doing it twice is as good as once."""

    @functools.wraps(op)
    def method(self: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(lambda tx: op(tx, *args, **kwargs), repeatable=repeatable)

    return method


def awaiting(
    op: Callable[Concatenate[Tx, P], R], *, repeatable: bool = True
) -> Callable[Concatenate[Awaiting, P], Coroutine[Any, Any, R]]:
    """Return `op` as an awaitable method; `repeatable` if doing it twice is as good as once."""

    @functools.wraps(op)
    async def method(self: Awaiting, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.run(lambda tx: op(tx, *args, **kwargs), repeatable=repeatable)

    return method


def in_steps(
    self: Blocking,
    step: Callable[[Tx, int], int],
    limit: int | None = None,
    *,
    most: int = STEP,
) -> int:
    """Run `step` until it finds no more, or for `limit`; return the sum.

    It is given a bound, `most` at most, and is a transaction each time.
    """
    total = 0
    if limit is not None:
        check_count("limit", limit)
    while True:  # with a limit of 0 too: the step checks what it is given
        size = most if limit is None else min(most, limit - total)
        done = self.run(lambda tx: step(tx, size))  # noqa: B023 - run before the loop goes on
        total += done
        if not done or total == limit:
            return total


async def in_awaited_steps(
    self: Awaiting,
    step: Callable[[Tx, int], int],
    limit: int | None = None,
    *,
    most: int = STEP,
) -> int:
    """Await `step` until it finds no more, or for `limit`; return the sum.

    It is given a bound, `most` at most, and is a transaction each time.
    """
    total = 0
    if limit is not None:
        check_count("limit", limit)
    while True:  # with a limit of 0 too: the step checks what it is given
        size = most if limit is None else min(most, limit - total)
        done = await self.run(lambda tx: step(tx, size))  # noqa: B023 - run before the loop goes on
        total += done
        if not done or total == limit:
            return total
