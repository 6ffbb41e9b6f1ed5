"""The steps of a broker that are about messages: who hears what."""

from __future__ import annotations

from typing import Any, TypeVar

from tests.model.choosing import Choices
from tests.model.twins import Both, Raised, Steps, Twins, normal, step

CHANNELS = ("m", "m", "M", "b")
MESSAGES: tuple[Any, ...] = (0, None, "ä\x00", {"k": [1.5, True]}, "x" * 9999)
WRONG_MESSAGES = (float("nan"), {1: 2}, "\ud800")
WRONG_NAMES = ("", "nul\x00", "x" * 999)


class Channels(Choices):
    """Gives each step the channel it is called with; seldom one that is refused."""

    def channel(self) -> str:
        return self.seldom(self.one(CHANNELS), WRONG_NAMES)


G = TypeVar("G", bound=Channels)


class MessageSteps(Steps[G]):
    """Both have a handler for each subscription, which are to hear the same."""

    def __init__(self, twins: Twins) -> None:
        super().__init__(twins)
        self.heard: list[tuple[str, Both, Both]] = []  # of which channel, and what ends it

    @step
    def subscribe(self, some: G) -> None:
        """Hear a channel from now on; what is no handler is refused."""
        channel, heard = some.channel(), Both([], [])
        handler = some.seldom(Both(heard.reference.append, heard.store.append), [Both(None, None)])
        ends = self.call("subscribe", channel, handler, by=_is_raised)
        if ends.reference is not None:
            self.heard.append((channel, heard, ends))

    @step
    def unsubscribe(self, some: G) -> None:
        if self.heard:
            at = some.below(len(self.heard))
            self.end(self.heard[at])
            if some.below(2):
                del self.heard[at]  # else it is ended once more

    def end(self, hearing: tuple[str, Both, Both]) -> None:
        self.twins.wait_for(hearing[2].reference())
        self.twins.wait_for(hearing[2].store())

    @step
    def broadcast(self, some: G) -> None:
        """Send a message, and wait until whoever is to hear it has."""
        channel = some.channel()
        message = some.seldom(some.one(MESSAGES), WRONG_MESSAGES)
        self.call("broadcast", channel, message)
        for _, heard, _ in self.heard:
            self.twins.compare("what is heard", heard)

    def close(self) -> None:
        for hearing in self.heard:
            self.end(hearing)


def _is_raised(answer: Any) -> Any:
    return normal(answer) if isinstance(answer, Raised) else None
