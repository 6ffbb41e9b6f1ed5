"""What a store may be able to do besides the contract; whoever needs it asks with `isinstance`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
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


@runtime_checkable
class Hinting(Protocol):
    """A store that hints at changes of single jobs, whichever process makes them.

    A hint says no more than that looking may be worth it. It comes late, twice, for nothing, or
    never: whoever waits looks at the job, and looks anyway now and then.
    """

    def hints(
        self, queue: str, job_id: str, wake: Callable[[], object]
    ) -> AbstractContextManager[None]:
        """Call `wake`, from whatever thread, at each hint, until the end of the block."""

    def ask_for_hints(self, queue: str, job_id: str) -> Any:
        """Let other processes know, for half a minute, that hints at the job are waited for.

        Awaited if the store is. Where they come unasked, or not at all, it does nothing.
        """
