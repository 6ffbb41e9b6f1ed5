"""A process that migrates as far as it is told to and then waits to be killed.

Run as `python -m tests.migrations.victim URL STATEMENTS`; says "there" once so many changes have
been made, the transaction and the lock still being open.
"""

from __future__ import annotations

import itertools
import signal
import sys
from typing import Any

import sqlalchemy as sa

from oqron_sql import migrate
from tests.migrations.targets import store_engine

CHANGES = ("CREATE", "INSERT", "UPDATE")


def main(url: str, statements: int) -> None:
    engine = store_engine(sa.make_url(url))
    changes = itertools.count(1)

    @sa.event.listens_for(engine, "after_cursor_execute")
    def halt(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.strip().startswith(CHANGES) and next(changes) == statements:
            print("there", flush=True)
            signal.pause()

    migrate.ensure(engine)
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
