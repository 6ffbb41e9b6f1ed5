"""The checks every broker and lock makes on what it is asked, before it changes anything."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from datetime import timedelta

from oqron_sql.contract.adapters import Claim, Handler, Message, Strategy
from oqron_sql.contract.checks import check_duration, check_list, check_name
from oqron_sql.errors import InvalidInput

LARGEST_PRIORITY = 2**31 - 1


def check_strategy(strategy: Strategy | str) -> Strategy:
    """Return the strategy of that name.

    Raises:
        InvalidInput: nobody knows it.
    """
    try:
        return Strategy(strategy)
    except ValueError:
        raise InvalidInput("strategy", strategy, f"must be one of {', '.join(Strategy)}") from None


def check_priority(priority: int) -> int:
    """Return `priority` if it is a whole number of 32 bits.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise InvalidInput("priority", priority, "must be a whole number")
    if not -LARGEST_PRIORITY - 1 <= priority <= LARGEST_PRIORITY:
        raise InvalidInput("priority", priority, "must be a whole number of 32 bits")
    return priority


def ambiguous(id: str, consumer: str) -> InvalidInput:
    """Return the error of who asks for a claim without its broker, and has one in several."""
    return InvalidInput("broker", None, f"name one: {consumer!r} claimed {str(id)!r} in several")


def check_messages(messages: Sequence[Message]) -> list[Message]:
    """Return `messages` in order, of equal ids the last.

    Raises:
        InvalidInput: an id, a delay or a priority is refused, or what is no list of messages.
    """
    kept: dict[str, Message] = {}
    for message in check_list("messages", messages):
        if not isinstance(message, Message):
            raise InvalidInput("messages", message, "must be messages like Message('id')")
        check_name("id", message.id)
        check_duration("delay", message.delay)
        check_priority(message.priority)
        kept.pop(message.id, None)
        kept[message.id] = message
    return list(kept.values())


def check_ttl(ttl: timedelta) -> timedelta:
    """Return `ttl` if it is a positive span of time.

    Raises:
        InvalidInput: it is something else.
    """
    return check_duration("ttl", ttl, positive=True)


def check_handler(handler: Handler) -> Handler:
    """Return `handler` if a message can be given to it.

    Raises:
        InvalidInput: it cannot be called, or would have to be awaited.
    """
    if not callable(handler):
        raise InvalidInput("handler", handler, "must be a function of the message")
    if any(map(inspect.iscoroutinefunction, (handler, type(handler).__call__))):
        raise InvalidInput("handler", handler, "must be a plain function; start a task in it")
    return handler


def token_of(id: str) -> str | None:
    """Return the token of the claim that `id` was passed as, or None if it is a plain text."""
    return id.token if isinstance(id, Claim) else None
