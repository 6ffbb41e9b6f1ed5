"""A process that migrates as far as it is told to and then waits to be killed."""

from __future__ import annotations

import itertools
import signal
from typing import Any

import sqlalchemy as sa

from oqron_sql import migrate
from tests.forked import READY, Wire
from tests.migrations.targets import store_engine

CHANGES = ("CREATE", "INSERT", "UPDATE")


def victim(wire: Wire, url: str, statements: int) -> None:
    """Be ready once so many changes have been made, the transaction and the lock still open."""
    engine = store_engine(sa.make_url(url))
    changes = itertools.count(1)

    @sa.event.listens_for(engine, "after_cursor_execute")
    def halt(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.strip().startswith(CHANGES) and next(changes) == statements:
            wire.say(READY)
            signal.pause()

    migrate.ensure(engine)
