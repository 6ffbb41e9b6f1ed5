"""Which function runs jobs of which name."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from oqron_sql.contract.checks import check_count, check_kind, check_name
from oqron_sql.errors import ConfigurationError
from oqron_sql.runtime.context import Context

Handler = Callable[[Context[Any]], object]
"""What runs one job: an `async def`, or a plain function, which is run in a thread."""
BatchHandler = Callable[[Sequence[Context[Any]]], object]
"""What runs several jobs at once; returns one result for each, an exception for one that failed."""

H = TypeVar("H", bound=Handler)
B = TypeVar("B", bound=BatchHandler)


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A handler and how it is called; `size` is that of a batch, 0 for one job at a time."""

    call: Callable[[Any], Any]
    size: int
    awaited: bool


class Handlers:
    """The handlers of a worker, by the name of the job.

    A registry of its own lets modules declare what they run before there is a worker:
    `mail = Handlers()` and `@mail.handler("welcome")` here, `worker.include(mail)` there.
    """

    def __init__(self) -> None:
        self._entries: dict[str | None, Entry] = {}

    def __repr__(self) -> str:
        return f"<Handlers of {', '.join('others' if n is None else repr(n) for n in self.names)}>"

    def handler(self, name: str | None = None) -> Callable[[H], H]:
        """Run jobs of that name, or of every name that has no handler, by the decorated function.

        Raises:
            ConfigurationError: the name has a handler.
        """

        def register(call: H) -> H:
            self._add(name, Entry(call, 0, _is_awaited(call)))
            return call

        return register

    def batch_handler(self, name: str | None = None, *, size: int) -> Callable[[B], B]:
        """Run jobs of that name up to `size` at a time, whatever is there, by one call.

        Raises:
            ConfigurationError: the name has a handler.
        """
        check_count("size", size, least=1)

        def register(call: B) -> B:
            self._add(name, Entry(call, size, _is_awaited(call)))
            return call

        return register

    def include(self, others: Handlers) -> None:
        """Add the handlers of another registry.

        Raises:
            ConfigurationError: both have one for the same name.
            InvalidInput: it is no such registry.
        """
        check_kind("handlers", others, Handlers, "mail = Handlers() and @mail.handler(name)")
        for name, entry in others._entries.items():
            self._add(name, entry)

    def find(self, name: str) -> Entry | None:
        """Return who runs jobs of that name, or None."""
        return self._entries.get(name) or self._entries.get(None)

    @property
    def names(self) -> tuple[str | None, ...]:
        """The names of jobs that have a handler; None is for all others."""
        return tuple(self._entries)

    @property
    def largest(self) -> int:
        """How many jobs one call may take."""
        return max((entry.size for entry in self._entries.values()), default=1) or 1

    def _add(self, name: str | None, entry: Entry) -> None:
        if name is not None:
            check_name("name", name)
        if name in self._entries:
            which = "jobs without one" if name is None else f"jobs named {name!r}"
            raise ConfigurationError(f"there is a handler for {which} already")
        self._entries[name] = entry


def _is_awaited(call: Callable[..., Any]) -> bool:
    while isinstance(call, functools.partial):
        call = call.func
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
        getattr(call, "__call__", None)  # noqa: B004 - an object may be called by awaiting it
    )


class NoHandler(LookupError):
    """No handler of this worker runs jobs of that name."""


async def _nobody(context: Context[Any]) -> None:
    raise NoHandler(f"this worker has no handler for jobs named {context.name!r}")


NOBODY = Entry(_nobody, 0, awaited=True)
"""Who runs jobs that nobody runs."""
