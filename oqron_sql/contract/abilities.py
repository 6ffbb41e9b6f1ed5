"""What a store may be able to do besides the contract; whoever needs it asks with `isinstance`."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Joining(Protocol):
    """A store that can work inside a transaction of its host."""

    def using(self, bind: Any) -> Any:
        """Return this store bound to the host's session or connection.

        The host commits; events are told then, and not at all after a rollback.
        """


@runtime_checkable
class Twinning(Protocol):
    """An awaitable store that can be used from the event loop of another thread as well."""

    def twin(self) -> Any:
        """Return another handle on the same data, with subscribers of its own, yet to be connected.

        None where there can be none.
        """
