"""Which function runs jobs of which name."""

from __future__ import annotations

import dataclasses
import difflib
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
MOST_NAMES = 10
"""How many names a message lists."""

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
            ConfigurationError: the name has a handler, or what is decorated can be none.
        """
        _check(name, "handler({!r})", "handler()")

        def register(call: H) -> H:
            self._add(name, _entry(call, 0))
            return call

        return register

    def batch_handler(self, name: str | None = None, *, size: int) -> Callable[[B], B]:
        """Run jobs of that name up to `size` at a time, whatever is there, by one call.

        Raises:
            ConfigurationError: the name has a handler, or what is decorated can be none.
        """
        check_count("size", size, least=1)
        _check(name, f"batch_handler({{!r}}, size={size})", f"batch_handler(size={size})")

        def register(call: B) -> B:
            self._add(name, _entry(call, size))
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

    def nobody(self) -> Entry:
        """Return who runs jobs of unknown names: they fail, and say what names there are."""

        async def refuse(context: Context[Any]) -> None:
            raise NoHandler(
                f"this worker has no handler for jobs named {context.name!r}"
                + self._instead_of(context.name)
            )

        return Entry(refuse, 0, awaited=True)

    def _instead_of(self, name: str) -> str:
        names = sorted(each for each in self._entries if each is not None)
        close = difflib.get_close_matches(name, names, n=1)
        listed = ", ".join(map(repr, names[:MOST_NAMES]))
        more = ", …" if len(names) > MOST_NAMES else ""
        known = f"; it has handlers for {listed}{more}" if names else ""
        return known + (f"; did you mean {close[0]!r}?" if close else "")

    @property
    def names(self) -> tuple[str | None, ...]:
        """The names of jobs that have a handler; None is for all others."""
        return tuple(self._entries)

    @property
    def largest(self) -> int:
        """How many jobs one call may take."""
        return max((entry.size for entry in self._entries.values()), default=1) or 1

    def _add(self, name: str | None, entry: Entry) -> None:
        if name in self._entries:
            which = "jobs without one" if name is None else f"jobs named {name!r}"
            raise ConfigurationError(f"there is a handler for {which} already")
        self._entries[name] = entry


def _check(name: str | None, named: str, others: str) -> None:
    """Refuse a name that is none; `named` and `others` are what to write instead of a function."""
    if callable(name):
        # Whether it is for all jobs, or for those that are called like it, nobody can know.
        own = named.format(getattr(name, "__name__", "name"))
        raise ConfigurationError(
            f"a handler is registered by a call: write @….{own} for jobs of that name, or "
            f"@….{others} for jobs of every name that has no handler"
        )
    if name is not None:
        check_name("name", name)


def _entry(call: Any, size: int) -> Entry:
    if not callable(call):
        raise ConfigurationError(
            f"a handler is a function, and not an object of type {type(call).__name__}"
        )
    try:
        # What a decorator wraps may take more than the wrapper does, which is what is called.
        inspect.signature(call, follow_wrapped=False).bind(None)
    except ValueError:
        pass  # a function that does not tell
    except TypeError as error:
        given = "a sequence of contexts" if size else "a context"
        raise ConfigurationError(
            f"the handler {getattr(call, '__qualname__', call)} cannot be called with {given} "
            f"alone: {error}"
        ) from None
    return Entry(call, size, _is_awaited(call))


def _is_awaited(call: Callable[..., Any]) -> bool:
    while isinstance(call, functools.partial):
        call = call.func
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
        getattr(call, "__call__", None)  # noqa: B004 - an object may be called by awaiting it
    )


class NoHandler(LookupError):
    """No handler of this worker runs jobs of that name."""
