"""What `module:name` on the command line stands for, and the worker that comes of it."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import os
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from types import ModuleType, TracebackType
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from oqron_sql.cli.database import Database
from oqron_sql.errors import ConfigurationError, OqronError
from oqron_sql.runtime import Handlers, Worker

WANTED = "a Worker, a registry of Handlers, or a function that returns one of them"


class CodeFailed(OqronError):
    """The user's own code raised an error, which is the cause, with a traceback of that code."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What the command line says otherwise than the code; None leaves it as the code has it."""

    database: Database
    queue: str | None = None
    concurrency: int | None = None
    prefetch: int | None = None
    lease: timedelta | None = None
    grace: timedelta | None = None


def find(target: str) -> object:
    """Import the module and return what has the name in it.

    Raises:
        ConfigurationError: there is no such module, or no such name in it.
        CodeFailed: the module, or one that it imports, raised an error.
    """
    name, _, path = target.partition(":")
    words = [*name.split("."), *path.split(".")]
    is_file = "/" in name or name.endswith(".py")
    if is_file or not all(word.isidentifier() for word in words):
        hint = "; name the module, not its file" if is_file else ""
        raise ConfigurationError(f"{target!r} does not read like shop.work:worker{hint}")
    found: Any = _import(name)
    for word in path.split("."):
        if not hasattr(found, word):
            raise ConfigurationError(f"{name!r} has no {word!r}{_hint(found, word)}")
        found = getattr(found, word)
    return found


async def make(found: object, target: str, stack: AsyncExitStack) -> Worker | Handlers:
    """Return the worker or the handlers that were found, calling the function that makes them.

    The function may be awaited, or be an async context manager, which is left with `stack`.

    Raises:
        ConfigurationError: it is neither, and makes neither.
        CodeFailed: the function raised an error.
    """
    made: Any = found
    if callable(found) and not isinstance(found, type):
        _refuse_arguments(found, target)
        try:
            made = found()
            if inspect.isawaitable(made):
                made = await made
            if hasattr(made, "__aenter__") and not isinstance(made, Worker):
                made = await stack.enter_async_context(made)
        except (OqronError, SQLAlchemyError):
            raise  # which say themselves what is wrong
        except Exception as error:
            raise _failed(f"{target} failed", error) from error
    if isinstance(made, Worker | Handlers):
        return made
    verb = "is" if made is found else "returned"
    raise ConfigurationError(f"{target} {verb} {_kind(made)}; name {WANTED}")


def equip(made: Worker | Handlers, target: str, changes: Changes) -> Worker:
    """Return the worker, changed as the command line says.

    Raises:
        ConfigurationError: it cannot be changed so, or has nothing to do.
        InvalidInput: a value cannot be what it is.
    """
    database = changes.database
    if isinstance(made, Handlers):
        if changes.queue is None:
            raise ConfigurationError(
                f"{target} is a registry of handlers; say with --queue whose jobs they are to run"
            )
        worker = Worker(changes.queue, database.store(), made)
    else:
        worker = made
        if changes.queue not in (None, worker.queue):
            raise ConfigurationError(
                f"{target} runs the jobs of {worker.queue!r}; --queue is for registries of handlers"
            )
        if database.url is not None:
            worker.store = database.store()
        elif database != Database(None):
            raise ConfigurationError(
                f"{target} has a store of its own; --prefix and --schema go together with --url"
            )
    if not worker.handlers.names:
        raise ConfigurationError(f"{target} has no handlers, so every job would fail")
    worker.adjust(
        concurrency=changes.concurrency,
        prefetch=changes.prefetch,
        lease=changes.lease,
        grace=changes.grace,
    )
    return worker


def _import(name: str) -> ModuleType:
    # The command lies in a folder of its own, and Python looks for modules beside it alone.
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing and f"{name}.".startswith(f"{missing}."):
            raise ConfigurationError(
                f"there is no module {missing!r} in {os.getcwd()}, nor on Python's path"
            ) from None
        raise _failed(f"module {name!r} could not be imported", error) from error
    except Exception as error:
        raise _failed(f"module {name!r} could not be imported", error) from error


def _failed(what: str, error: Exception) -> CodeFailed:
    """Return what to raise, and leave of the traceback what is the user's."""
    ours: TracebackType | None = error.__traceback__
    while ours is not None and _is_ours(ours.tb_frame.f_code.co_filename):
        ours = ours.tb_next
    error.__traceback__ = ours
    return CodeFailed(what)


def _is_ours(file: str) -> bool:
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib.")


def _refuse_arguments(function: Any, target: str) -> None:
    try:
        inspect.signature(function).bind()
    except ValueError:
        pass  # a function that does not tell
    except TypeError as error:
        raise ConfigurationError(f"{target} cannot be called without arguments: {error}") from None


def _hint(owner: object, word: str) -> str:
    named = [name for name, value in vars(owner).items() if isinstance(value, Worker | Handlers)]
    close = difflib.get_close_matches(word, [*named, *dir(owner)], n=1) or named[:1]
    return f"; did you mean {close[0]!r}?" if close else ""


def _kind(value: object) -> str:
    return (
        f"the class {value.__name__}"
        if isinstance(value, type)
        else f"an object of type {type(value).__name__}"
    )
