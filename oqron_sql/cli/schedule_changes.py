"""What is done to schedules, and how it is told; and those that are not there."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable

from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.cli.database import Database
from oqron_sql.cli.printing import new_console, print_json, say
from oqron_sql.contract import AsyncStore, Schedule
from oqron_sql.errors import OqronError


class NoSuchSchedule(OqronError):
    """A key that no schedule of the queue has."""


def change(
    database: Database,
    which: tuple[str, str],
    how: Callable[[AsyncSQLStore], Awaitable[bool]],
    done: str,
    *,
    as_json: bool,
) -> None:
    """Make a change to the schedule of a queue and key, and tell it."""
    queue, key = which

    async def work(store: AsyncSQLStore) -> None:
        if not await how(store):
            await find(store, queue, key, database)

    database.ask(work)
    if as_json:
        print_json({"queue": queue, "key": key, "done": done})
    else:
        say(new_console(), f"Schedule {key!r} of queue {queue!r} {done}.")


async def find(store: AsyncStore, queue: str, key: str, database: Database) -> Schedule:
    """Return the schedule.

    Raises:
        NoSuchSchedule: there is none.
    """
    found = await store.get_schedule(queue, key)
    if found is None:
        keys = [each.key for each in await store.list_schedules(queue, 0, 1000)]
        close = difflib.get_close_matches(key, keys, n=1)
        listed = f"{database.advise('schedules list', queue=queue)} lists those there are"
        hint = f"did you mean {close[0]!r}?" if close else listed
        raise NoSuchSchedule(f"queue {queue!r} has no schedule {key!r}; {hint}")
    return found
