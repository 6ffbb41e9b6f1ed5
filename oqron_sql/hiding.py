"""Payloads are not shown: what stands in their place in a `repr`, a message or a log."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

C = TypeVar("C", bound=type)


def outline(value: Any) -> str:
    """Return what may be shown of a payload: its type, and how long it is."""
    if value is None or value in ((), [], {}, ""):
        return repr(value)
    size = f" of {len(value)}" if hasattr(value, "__len__") else ""
    return f"<{type(value).__name__}{size}>"


def hiding(*hidden: str) -> Callable[[C], C]:
    """Let the `repr` of a dataclass show the outline alone of the fields named."""

    def decorate(cls: C) -> C:
        names = [field.name for field in dataclasses.fields(cls)]
        if not names or not set(hidden) <= set(names):
            raise AttributeError(f"{cls.__name__} has no {set(hidden) - set(names)}")

        def show(self: Any) -> str:
            shown = (
                f"{name}={outline(value) if name in hidden else repr(value)}"
                for name, value in ((name, getattr(self, name)) for name in names)
            )
            return f"{cls.__name__}({', '.join(shown)})"

        cls.__repr__ = show  # type: ignore[method-assign,assignment]  # as dataclass does
        return cls

    return decorate


class Unshown(str):
    """A text as any other, which is not shown by whoever logs or quotes the parameters of SQL."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<text of {len(self)}>"
