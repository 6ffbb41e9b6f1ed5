"""Turn one body into a blocking method and an awaitable one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

Op = TypeVar("Op")
Op_co = TypeVar("Op_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")
_R = TypeVar("_R")


class Running(Protocol[Op_co]):
    """Whatever can run a body to its end while nobody else touches the data."""

    def run(self, body: Callable[[Op_co], _R], /) -> _R:
        """Run the body, then tell whoever is to know."""


def blocking(body: Callable[Concatenate[Op, P], R]) -> Callable[Concatenate[Running[Op], P], R]:
    """Return the body as a blocking method."""

    @functools.wraps(body)
    def method(self: Running[Op], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(lambda op: body(op, *args, **kwargs))

    return method


def awaiting(
    body: Callable[Concatenate[Op, P], R],
) -> Callable[Concatenate[Running[Op], P], Coroutine[Any, Any, R]]:
    """Return the body as an awaitable method; it never suspends, so it cannot be cut in half."""

    @functools.wraps(body)
    async def method(self: Running[Op], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(lambda op: body(op, *args, **kwargs))

    return method
