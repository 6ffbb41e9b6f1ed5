"""Turn one body into a blocking method and an awaitable one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from oqron_sql.memory.operation import Operation

P = ParamSpec("P")
R = TypeVar("R")
_R = TypeVar("_R")


class Running(Protocol):
    """Whatever can run a body to its end while nobody else touches the data."""

    def run(self, body: Callable[[Operation], _R], /) -> _R:
        """Run the body, then deliver its events."""


def blocking(body: Callable[Concatenate[Operation, P], R]) -> Callable[Concatenate[Running, P], R]:
    """Return the body as a blocking method."""

    @functools.wraps(body)
    def method(self: Running, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(lambda op: body(op, *args, **kwargs))

    return method


def awaiting(
    body: Callable[Concatenate[Operation, P], R],
) -> Callable[Concatenate[Running, P], Coroutine[Any, Any, R]]:
    """Return the body as an awaitable method; it never suspends, so it cannot be cut in half."""

    @functools.wraps(body)
    async def method(self: Running, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(lambda op: body(op, *args, **kwargs))

    return method
