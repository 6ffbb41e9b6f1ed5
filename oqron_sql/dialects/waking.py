"""What a database may do to wake those who wait: questions with the answer that it does nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, Executable


class Waking:
    """The questions about telling others of a commit. By default, who waits looks now and then."""

    pushes: ClassVar[bool] = False
    """Whether `notify` reaches those who `listen`."""

    def files(self, url: URL) -> Sequence[str]:
        """Return the files of which one changes with every commit, the database itself first."""
        return ()

    def notify(self, conn: Connection, channel: str, payload: str) -> None:
        """Tell whoever listens on `channel`, when the transaction is committed."""

    def telling(self, statement: Any) -> Executable | None:
        """Return `statement` such that it notifies if it changes a row; None if it cannot.

        It then has the parameters `hint_channel` and `hint_payload`, and selects how many rows it
        changed. So telling takes no further round trip.
        """
        return None

    def listen(self, conn: Connection, channel: str, heard: Callable[[str], None]) -> None:
        """Begin to listen on `channel`; `heard` may be called with payloads from now on."""

    def hear(
        self,
        conn: Connection,
        seconds: float,
        heard: Callable[[str], None],
        rest: Callable[[float], None],
    ) -> None:
        """Call `heard` with what is told in the next `seconds`; `rest` lets time pass.

        It raises an OSError or an error of SQLAlchemy's when the connection is lost.
        """
        rest(seconds)
