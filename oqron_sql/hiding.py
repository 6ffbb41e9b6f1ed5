"""Payloads and passwords are not shown: what stands in their place in a message or a log."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, TypeVar

C = TypeVar("C", bound=type)

LONGEST_QUOTE = 300
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]*:\S*@")
_PASSWORD = re.compile(r"(?i)(?<=password=)[^\s&;]+")
_ARGUMENTS = re.compile(r",? with args beginning with:.*")  # of a command that Redis does not know


def outline(value: Any) -> str:
    """Return what may be shown of a payload: its type, and how long it is."""
    if value is None or value in ((), [], {}, ""):
        return repr(value)
    size = f" of {len(value)}" if hasattr(value, "__len__") else ""
    return f"<{type(value).__name__}{size}>"


def quote_cause(error: BaseException) -> str:
    """Return what the innermost cause of an error that says anything says, in one line.

    It is what a driver or the operating system said, without credentials, and without what a
    database adds in further lines or quotes: rows, and the arguments of commands. "" if there is no
    cause.
    """
    said, cause = "", _cause(error)
    while cause is not None:
        line = next(iter(str(cause).strip().splitlines()), "")
        said = line or said or type(cause).__name__
        cause = _cause(cause)
    said = without_credentials(_ARGUMENTS.sub("", said))
    return said if len(said) <= LONGEST_QUOTE else said[: LONGEST_QUOTE - 3] + "..."


def without_credentials(text: str) -> str:
    """Return the text without users and passwords of URLs, nor passwords that are named so."""
    return _PASSWORD.sub("***", _CREDENTIALS.sub("***@", text))


def _cause(error: BaseException) -> BaseException | None:
    # SQLAlchemy's errors have the driver's for `orig`; their own text is the whole statement.
    cause: BaseException | None = getattr(error, "orig", None) or error.__cause__
    return cause


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
